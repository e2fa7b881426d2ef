"""Copies a log from one store to another, of the same kind or not.

The events keep their positions, times, metadata and command ids, so everything that refers to them stays true. What the
runtime keeps beside the log is copied too, except the tables and states of projections and the hash chain: the
application rebuilds those from the log.

A copy that was interrupted continues after the last event that the target holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from actorium.sagas.agenda.agenda_checkpoint import AGENDA
from actorium.store.chain import CHAIN
from actorium.store.codec import decode_metadata
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import PAGE_BYTES, Append, AppendBatch, CommandMark, EventStore, SaveCheckpoint
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.tables.own_rows import (
    AgendaRow,
    ReadDue,
    ReadSagas,
    ReadSubmissions,
    RemoveAll,
    SagaChange,
    TableChange,
)

_PAGE_EVENTS = 1_000
_PAGE_ROWS = 1_000
_EVER_US = 2**63 - 1
_REBUILT = ("projection ", CHAIN)  # how the names of their checkpoints begin


class DatedAppend(NamedTuple):
    """An append as the log holds it, and the time that its events carry."""

    recorded_us: int
    append: Append


async def copy_events(source: EventStore, target: EventStore, told: Callable[[int], None]) -> int:
    """Copy the events that the target does not hold yet; call `told` with the position after each page.

    Both stores are open. Returns the position of the last event. Raises ConfigurationError if the target holds another
    log.
    """
    position = (await target.head()).position
    if position and await source.read_log(position - 1, 1) != await target.read_log(position - 1, 1):
        raise ConfigurationError(
            f"{target.describe()} holds a different log: its event at position {position} is not the one in "
            f"{source.describe()}; name an empty target"
        )
    async for appends in read_appends(source, position):
        position = await write_appends(target, position, appends)
        told(position)
    return position


async def read_appends(source: EventStore, after: int, end: int | None = None) -> AsyncIterator[list[DatedAppend]]:
    """Yield the appends that wrote the events after a position, a page at a time, up to a position or the end.

    end: the end of the log as it is or as it was, so that it is not inside an append.
    """
    limit, max_bytes = _PAGE_EVENTS, PAGE_BYTES
    while end is None or after < end:
        records = await source.read_log(after, limit if end is None else min(limit, end - after), max_bytes)
        if not records:
            return
        appends = await _appends(source, records)
        if not appends:
            limit, max_bytes = 2 * limit, 2 * max_bytes  # the page ends inside the events of one command
            continue
        limit, max_bytes = _PAGE_EVENTS, PAGE_BYTES
        yield appends
        after += sum(len(one.append.events) for one in appends)


async def write_appends(target: EventStore, position: int, appends: Sequence[DatedAppend]) -> int:
    """Append to a log that ends at `position` and that nobody else writes to; return where it ends then.

    Raises ConfigurationError if somebody else wrote to it.
    """
    for recorded_us, at_once in groupby(appends, key=lambda one: one.recorded_us):
        batch = [one.append for one in at_once]
        outcomes = (await target.append(AppendBatch(recorded_us, batch))).outcomes
        ends = [*accumulate((len(one.events) for one in batch), initial=position)]
        if list(outcomes) != [1 + end for end in ends[:-1]]:
            raise ConfigurationError(f"{target.describe()} was written to by another process at the same time")
        position = ends[-1]
    return position


async def _appends(source: EventStore, records: Sequence[EncodedRecord]) -> list[DatedAppend]:
    """Return the appends that wrote the records; an incomplete one at the end is left out."""
    ids = [decode_metadata(record.metadata).command_id for record in records]
    commands = await source.find_commands(sorted(set(filter(None, ids))))
    found: list[DatedAppend] = []
    start = 0
    while start < len(records):
        first, command = records[start], commands.get(ids[start])
        mark, count = None, 1
        if command is not None and command.stream == first.stream and command.first_version == first.version:
            mark = CommandMark(command.command_id, command.fingerprint)
            count = command.version - command.first_version + 1
        if start + count > len(records):
            break
        events = tuple(
            EncodedEvent(one.type, one.schema_version, one.payload, one.metadata)
            for one in records[start : start + count]
        )
        found.append(DatedAppend(first.recorded_us, Append(first.stream, first.version - 1, events, mark)))
        start += count
    return found


async def copy_tables(source: EventStore, target: EventStore) -> None:
    """Copy what the runtime keeps beside the log, once all events are copied."""
    rows = await source.query("SELECT name, position FROM checkpoints ORDER BY name", ())
    positions = {name: position for name, position in rows if not name.startswith(_REBUILT)}
    if any(name.startswith(f"{AGENDA} ") for name in positions):
        # The tables follow from the log, and the shares have passed different parts of it: the copy makes its own.
        positions = {name: position for name, position in positions.items() if not name.startswith(AGENDA)}
    if not positions:
        return
    holder = next(iter(positions))  # the rows belong to no checkpoint in particular
    await target.save([SaveCheckpoint(holder, 0, changes=[RemoveAll("agenda"), RemoveAll("sagas")])])
    await target.save([SaveCheckpoint(holder, 0, changes=[RemoveAll("submissions")])])
    async for page in _rows(source):
        await target.save([SaveCheckpoint(holder, 0, changes=page)])
    letters = await source.dead_letters(None)
    await target.save(
        [
            SaveCheckpoint(name, position, parked=[letter for letter in letters if letter.processor == name])
            for name, position in positions.items()
        ]
    )


async def _rows(source: EventStore) -> AsyncIterator[list[TableChange]]:
    due: AgendaRow | None = None
    while agenda := await source.read_rows(ReadDue(_EVER_US, _PAGE_ROWS, due)):
        yield [*agenda]
        due = agenda[-1]
    saga: tuple[str, str] | None = None
    while sagas := await source.read_rows(ReadSagas(_PAGE_ROWS, after=saga)):
        yield [
            SagaChange(one.type, one.id, one.status, one.step, one.reason, one.started_us, one.updated_us)
            for one in sagas
        ]
        saga = (sagas[-1].type, sagas[-1].id)
    submission: str | None = None
    while submissions := await source.read_rows(ReadSubmissions(_PAGE_ROWS, after=submission)):
        yield [*submissions]
        submission = submissions[-1].id


async def compare(source: EventStore, target: EventStore, end: int) -> None:
    """Read both logs up to a position, and raise ConfigurationError unless they are the same."""
    position = 0
    while position < end:
        ours = await source.read_log(position, _PAGE_EVENTS)
        theirs = await target.read_log(position, len(ours))
        if not ours or theirs != ours:
            raise ConfigurationError(f"{target.describe()} differs from {source.describe()} after position {position}")
        position += len(ours)
