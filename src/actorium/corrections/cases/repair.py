"""Repairs a projection after wrong events: the rows that they touched where these are known, else all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from actorium.corrections.cases.beside import BesideRepair
from actorium.corrections.impact.touched_rows import HandlerNowFails, changed_row, recorder
from actorium.runtime.log.log_reader import LogReader, Unread
from actorium.runtime.processors.processor import Processor
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.row_fold import RowFold
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.table_projection import names_of
from actorium.runtime.projections.tables import Table, definition_of
from actorium.store.errors import StatementFailed
from actorium.store.event_store import EventStore
from actorium.store.events import Event, RecordedEvent
from actorium.store.raised import let_through
from actorium.store.tables.row_tables import RowChanges

RowKey = tuple[type[Table], tuple[Any, ...]]
"""A row: its table, and its key as it is stored."""


class Repaired(NamedTuple):
    """What a repair wrote: a number of rows, or the whole projection is being rebuilt."""

    rows: int
    rebuilt: bool


async def repair(
    projection: type[Projection],
    processor: Processor,
    store: EventStore,
    log_reader: LogReader,
    events: Collection[RecordedEvent[Event]],
    *,
    all_rows: bool,
) -> Repaired:
    """Repair a projection that handled some events wrongly, or that should skip them.

    Queries see the rows as they were until one commit replaces them:

    - A projection whose tables are all `Table` classes is recomputed from the log, row by row, and the rows that differ
      are written: those that the events touch, or all with `all_rows`.
    - A projection with a schema is rebuilt beside: the rows with the keys of the events if it declares `key`, else all.
    - Any other projection is reset. So is one whose rows cannot be copied, and one with a handler that now fails on an
      event, which a reset parks.
    """
    definition = projection.__definition__
    is_rows_only = bool(definition.tables) and len(definition.tables) == len(
        names_of(projection, definition.version, store.dialect).plain
    )
    if is_rows_only:
        rows = _RowRepair(projection, processor, store, log_reader)
        written = await processor.between_pages(lambda: rows.repair(None if all_rows else events))
        if written is not None:
            return Repaired(written, False)
    elif definition.has_tables:
        beside = BesideRepair(projection, processor, store, log_reader)
        keys = beside.keys_of(events)
        written = await processor.between_pages(lambda: beside.repair(keys))
        if written is not None:
            return Repaired(written, keys is None)
    await processor.reset()
    return Repaired(0, True)


class _RowRepair:
    """One repair of rows; it runs in the processor's task, so the projection does not move meanwhile."""

    def __init__(
        self, projection: type[Projection], processor: Processor, store: EventStore, log_reader: LogReader
    ) -> None:
        definition = projection.__definition__
        self._classes = frozenset(definition.handlers)
        self._tables = definition.tables
        self._checkpoint = processor.checkpoint
        self._store = store
        self._log_reader = log_reader
        self._names: TableNames = names_of(projection, definition.version, store.dialect)
        self._record = recorder(projection, self._names)

    async def repair(self, events: Collection[RecordedEvent[Event]] | None) -> int | None:
        """Write the rows that differ; return how many, or None with nothing written if a handler fails."""
        keys = None if events is None else self._rows_of(events)
        try:
            right = await self._recomputed(keys)
        except (StatementFailed, HandlerNowFails):
            return None
        stored = await self._stored(keys)
        put: dict[type[Table], list[tuple[Any, ...]]] = {}
        delete: dict[type[Table], list[tuple[Any, ...]]] = {}
        for row in {*right, *stored}:
            table, key = row
            wanted = right.get(row)
            if wanted == stored.get(row):
                continue
            if wanted is None:
                delete.setdefault(table, []).append(key)
            else:
                put.setdefault(table, []).append(wanted)
        changes = [
            RowChanges(
                msgspec.structs.replace(definition_of(table).shape, name=self._names.row_tables[table]),
                put=put.get(table, []),
                delete=delete.get(table, []),
            )
            for table in {*put, *delete}
        ]
        if changes:
            await self._checkpoint.save(self._checkpoint.position, rows=changes)
        return sum(len(one.put) + len(one.delete) for one in changes)

    def _rows_of(self, events: Collection[RecordedEvent[Event]]) -> set[RowKey] | None:
        """Return the rows that events touch; None for all rows, if a handler now fails on one that it once handled."""
        handled = [event for event in events if isinstance(event.event, tuple(self._classes))]
        try:
            found = [changed_row(one) for event in handled for one in self._record(event)]
            return {(table, definition_of(table).encoded(key)) for table, key in filter(None, found)}
        except BaseException as raised:
            let_through(raised)
            return None

    async def _recomputed(self, keys: Collection[RowKey] | None) -> Mapping[RowKey, tuple[Any, ...] | None]:
        """Return the rows as the log has them at the checkpoint, without held back and skipped events."""
        fold = RowFold()
        position, end = 0, self._checkpoint.position
        while position < end:
            found = await self._log_reader.after(position, self._classes)
            for delivered in found.events:
                if isinstance(delivered, Unread) or delivered.position > end:
                    continue
                if not self._checkpoint.letters.hold_back(delivered):
                    self._take(fold, delivered, keys)
            if found.position == position:
                break
            position = found.position
        return {(table, key): row for table, key, row in fold.rows()}

    def _take(self, fold: RowFold, event: RecordedEvent[Event], keys: Collection[RowKey] | None) -> None:
        try:
            changes = self._record(event)
            if keys is not None:
                rows = [changed_row(one) for one in changes]
                changes = [
                    one
                    for one, row in zip(changes, rows, strict=True)
                    if row is not None and (row[0], definition_of(row[0]).encoded(row[1])) in keys
                ]
            fold.take(changes)
        except StatementFailed:
            raise
        except BaseException as raised:
            let_through(raised)
            raise HandlerNowFails from raised

    async def _stored(self, keys: Collection[RowKey] | None) -> Mapping[RowKey, tuple[Any, ...]]:
        found: dict[RowKey, tuple[Any, ...]] = {}
        for table in self._tables:
            number = len(definition_of(table).shape.keys)
            chosen: list[tuple[Any, ...]] = [()] if keys is None else [key for one, key in keys if one is table]
            for key in chosen:
                for row in await self._store.query(self._names.select(table, len(key)), key):
                    found[table, tuple(row[:number])] = tuple(row)
        return found
