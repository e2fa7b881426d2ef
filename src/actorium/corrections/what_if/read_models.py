"""The read models of a run: the rows of its projections' tables, and the state of those without tables."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actorium.corrections.impact.touched_rows import recorder
from actorium.runtime.processors.event_handlers import arguments
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.row_fold import Recorded, folded
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.table_projection import names_of
from actorium.runtime.projections.tables import definition_of
from actorium.store.errors import StatementFailed
from actorium.store.event_store import SaveCheckpoint
from actorium.store.events import Event, RecordedEvent
from actorium.store.memory import MemoryStore
from actorium.store.raised import error_text, let_through

_EVENTS_PER_SAVE = 2_000

Rows = Mapping[str, Mapping[str, Any]]
"""The rows of each table by their key as text, or, for a table of a schema, how often each row occurs."""


class ReadModelState(msgspec.Struct, frozen=True):
    """A read model at the end of a run.

    rows: of its tables; for a projection without tables, its fields are the one row of a table without a name.
    failed: for each event that a handler failed on, by its id, the error.
    """

    rows: Rows
    failed: Mapping[str, str]


async def read_model(projection: type[Projection], events: Sequence[RecordedEvent[Event]]) -> ReadModelState:
    """Return what a projection makes of some events, in an empty store in memory."""
    definition = projection.__definition__
    classes = tuple(definition.handlers)
    wanted = [recorded for recorded in events if isinstance(recorded.event, classes)]
    return await (_tables(projection, wanted) if definition.has_tables else _state(projection, wanted))


async def _state(projection: type[Projection], events: Sequence[RecordedEvent[Event]]) -> ReadModelState:
    instance, failed = projection(), {}
    for number, recorded in enumerate(events):
        handler = projection.__definition__.handler_of(type(recorded.event))
        try:
            handler.method(instance, *arguments(handler, recorded, {}))
        except BaseException as raised:
            let_through(raised)
            failed[recorded.event_id] = error_text(raised)
        if number % _EVENTS_PER_SAVE == 0:
            await asyncio.sleep(0)
    return ReadModelState({"": {"state": msgspec.to_builtins(instance, str_keys=True)}}, failed)


async def _tables(projection: type[Projection], events: Sequence[RecordedEvent[Event]]) -> ReadModelState:
    store = MemoryStore(threads=False)
    await store.open()
    try:
        names = names_of(projection, projection.__definition__.version, store.dialect)
        await store.save([SaveCheckpoint("run", 0, [(statement, ()) for statement in names.schema()])])
        record = recorder(projection, names)
        failed: dict[str, str] = {}
        batch: list[tuple[RecordedEvent[Event], Sequence[Recorded]]] = []
        for recorded in events:
            try:
                batch.append((recorded, record(recorded)))
            except BaseException as raised:
                let_through(raised)
                failed[recorded.event_id] = error_text(raised)
            if len(batch) >= _EVENTS_PER_SAVE:
                await _write(store, names, batch, failed)
                batch = []
                await asyncio.sleep(0)
        await _write(store, names, batch, failed)
        return ReadModelState(await _all_rows(store, projection, names), failed)
    finally:
        await store.close()


async def _write(
    store: MemoryStore,
    names: TableNames,
    batch: Sequence[tuple[RecordedEvent[Event], Sequence[Recorded]]],
    failed: dict[str, str],
) -> None:
    """Write what handlers recorded; an event whose changes cannot be written is left out, like a parked one."""
    if not batch:
        return
    error: Exception | None = None
    try:
        statements, rows = folded((change for _, changes in batch for change in changes), names.row_tables)
        error = (await store.save([SaveCheckpoint("run", 0, statements, rows=rows)])).get(0)
    except StatementFailed as failure:
        error = failure
    if error is None:
        return
    if len(batch) == 1:
        failed[batch[0][0].event_id] = error_text(error)
        return
    half = len(batch) // 2
    await _write(store, names, batch[:half], failed)
    await _write(store, names, batch[half:], failed)


async def _all_rows(store: MemoryStore, projection: type[Projection], names: TableNames) -> Rows:
    found: dict[str, dict[str, Any]] = {}
    of_rows = {definition_of(table).name: table for table in projection.__definition__.tables}
    for name in names.plain:
        table = of_rows.get(name)
        rows: dict[str, Any] = {}
        if table is not None:
            keys = len(definition_of(table).shape.keys)
            for values in await store.query(names.select(table, 0), ()):
                rows[", ".join(map(str, values[:keys]))] = values[keys:]
        else:
            for values in await store.query(f"SELECT * FROM {store.dialect.quoted(names.prefix + name)}", ()):
                key = repr(tuple(values))
                rows[key] = rows.get(key, 0) + 1
        found[name] = rows
    return found
