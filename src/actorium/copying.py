"""Copies a log from one store to another, of the same kind or not.

The events keep their positions, times, metadata and command ids, so everything that refers to them stays true. What the
runtime keeps beside the log is copied too, except the tables and states of projections: the application rebuilds those
from the log.

A copy that was interrupted continues after the last event that the target holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby

from actorium.store.codec import decode_metadata
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import Append, AppendBatch, CommandMark, EventStore, SaveCheckpoint
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
_OF_PROJECTIONS = "projection "  # how the names of their checkpoints begin


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
    limit = _PAGE_EVENTS
    while records := await source.read_log(position, limit):
        appends = await _appends(source, records)
        if not appends:
            limit *= 2  # the page ends inside the events of one command
            continue
        limit = _PAGE_EVENTS
        for recorded_us, at_once in groupby(appends, key=lambda one: one[0].recorded_us):
            batch = [append for _, append in at_once]
            outcomes = (await target.append(AppendBatch(recorded_us, batch))).outcomes
            expected = [position + 1 + sum(len(one.events) for one in batch[:n]) for n in range(len(batch))]
            if list(outcomes) != expected:
                raise ConfigurationError(f"{target.describe()} was written to by another process during the copy")
            position += sum(len(one.events) for one in batch)
        told(position)
    return position


async def _appends(source: EventStore, records: Sequence[EncodedRecord]) -> list[tuple[EncodedRecord, Append]]:
    """Return the appends that wrote the records, each with its first one; an incomplete one at the end is left out."""
    found: list[tuple[EncodedRecord, Append]] = []
    start = 0
    while start < len(records):
        first = records[start]
        command_id = decode_metadata(first.metadata).command_id
        record = (await source.find_commands([command_id])).get(command_id) if command_id else None
        mark, count = None, 1
        if record is not None and record.stream == first.stream and record.first_version == first.version:
            mark, count = CommandMark(command_id, record.fingerprint), record.version - record.first_version + 1
        if start + count > len(records):
            break
        events = tuple(
            EncodedEvent(one.type, one.schema_version, one.payload, one.metadata)
            for one in records[start : start + count]
        )
        found.append((first, Append(first.stream, first.version - 1, events, mark)))
        start += count
    return found


async def copy_tables(source: EventStore, target: EventStore) -> None:
    """Copy what the runtime keeps beside the log, once all events are copied."""
    rows = await source.query("SELECT name, position FROM checkpoints ORDER BY name", ())
    positions = {name: position for name, position in rows if not name.startswith(_OF_PROJECTIONS)}
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
