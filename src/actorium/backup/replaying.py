"""Replays the projections of an application on a restored log, and compares their rows with those of the live log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from actorium.catalog import Catalog
from actorium.copying import copy_events
from actorium.corrections.cases.keeper import all_cases, marks_of
from actorium.corrections.impact.selection import log_records
from actorium.corrections.impact.touched_rows import recorder
from actorium.runtime.processors.dead_letters import DeadLetters
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.row_fold import Recorded, folded
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.table_projection import checkpoint_name, names_of
from actorium.store.errors import StatementFailed, UnreadableEvent
from actorium.store.event_store import DeadLetter, EventStore, SaveCheckpoint
from actorium.store.raised import error_text, let_through
from actorium.store.wording import counted

_LOOKS = 5  # at a projection that moves while its rows are read
_EVENTS_PER_SAVE = 1_000
_DRILL = "drill"


class TableDigest(NamedTuple):
    """The rows of a table, in any order."""

    rows: int
    digest: int


class LiveRows(NamedTuple):
    """What a live log has of a projection: the position of its rows, and the events that it could not handle."""

    position: int
    tables: Mapping[str, TableDigest]
    letters: list[DeadLetter]


class Replayed(msgspec.Struct, frozen=True):
    """The replay of one projection: up to which position, and what is wrong; empty if nothing is.

    is_compared: its rows were compared with those of the live log.
    """

    projection: str
    position: int
    is_compared: bool
    problems: tuple[str, ...] = ()


async def replay_projections(
    restored: EventStore, catalog: Catalog, live: EventStore | None = None
) -> AsyncIterator[Replayed]:
    """Replay each projection with tables on a restored log, and compare it with the live one.

    A live log may be ahead: what is missing is copied to the restored log first, so both are compared at the position
    that the live projection has. Reactions, outlets and sagas do not run.

    restored: open; it gets tables.
    live: open, read-only; None if there is none to compare with. It holds the events of the restored log.
    """
    marks = [mark async for case in all_cases(live or restored, catalog.codec) for mark in marks_of(case)]
    for projection in catalog.projections:
        definition = projection.__definition__
        if not definition.has_tables:
            continue
        names = names_of(projection, definition.version, restored.dialect)
        found = None
        if live is not None and live.dialect.name == restored.dialect.name:
            found = await _live_rows(live, projection, names)
        if found is not None and live is not None:
            await copy_events(live, restored, lambda position: None)
        end = (await restored.head()).position if found is None else found.position
        follower = f"projection {definition.name}"
        skipped = {position for mark in marks if mark.follower == follower for position in mark.positions}
        letters = DeadLetters(() if found is None else found.letters, skipped)
        problems = [line async for line in _replay(restored, catalog, projection, names, letters, end)]
        if found is not None and not problems:
            for table, there in found.tables.items():
                here = await _digest(restored, names, table)
                if here != there:
                    problems.append(
                        f"{definition.name}: {table} has {counted(there.rows, 'row')} in the live log, and a replay to "
                        f"position {end} gives {'others' if here.rows == there.rows else counted(here.rows, 'row')}"
                    )
        yield Replayed(definition.name, end, found is not None, tuple(problems))


async def _live_rows(live: EventStore, projection: type[Projection], names: TableNames) -> LiveRows | None:
    """Return the rows of a projection at a position; None if it has none, or does not stop moving."""
    definition = projection.__definition__
    name = checkpoint_name(definition.name, definition.version)
    for _ in range(_LOOKS):
        position = await live.load_checkpoint(name)
        if not position:
            return None
        letters = list(await live.dead_letters(name))
        tables = {}
        for table in names.plain:
            try:
                tables[table] = await _digest(live, names, table)
            except StatementFailed:
                continue  # an index or a trigger
        if await live.load_checkpoint(name) == position:
            return LiveRows(position, tables, letters)
    return None


async def _digest(store: EventStore, names: TableNames, table: str) -> TableDigest:
    rows = await store.query(f"SELECT * FROM {store.dialect.quoted(names.prefix + table)}", ())
    digest = sum(int.from_bytes(sha256(repr(tuple(row)).encode()).digest()) for row in rows)
    return TableDigest(len(rows), digest)


async def _replay(
    store: EventStore,
    catalog: Catalog,
    projection: type[Projection],
    names: TableNames,
    letters: DeadLetters,
    end: int,
) -> AsyncIterator[str]:
    """Fill the tables of a projection from the log up to a position; yield what goes wrong."""
    name, classes = projection.__definition__.name, tuple(projection.__definition__.handlers)
    record = recorder(projection, names)
    recorded: list[Recorded] = []
    try:
        await _write(store, [(statement, ()) for statement in names.schema()])
        events = 0
        async for one in log_records(store, 0, end):
            try:
                for event in catalog.codec.recorded(one):
                    if isinstance(event.event, classes) and not letters.hold_back(event):
                        recorded += record(event)
            except UnreadableEvent:
                continue  # the check of every event names it
            except BaseException as raised:
                let_through(raised)
                yield f"{name}: its handler fails at position {one.position}: {error_text(raised)}"
                return
            events += 1
            if events % _EVENTS_PER_SAVE == 0:
                await _write(store, *folded(recorded, names.row_tables))
                recorded.clear()
        await _write(store, *folded(recorded, names.row_tables))
    except StatementFailed as failure:
        yield f"{name}: {failure}"


async def _write(store: EventStore, statements: Any, rows: Any = ()) -> None:
    failed = await store.save([SaveCheckpoint(_DRILL, 0, statements, rows=rows)])
    for failure in failed.values():
        raise failure
