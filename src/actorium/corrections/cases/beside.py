"""Rebuilds a projection in SQL in tables beside its own, whole or only for some keys, and copies the rows over.

Invariants: queries see the old rows until one commit replaces them; that commit writes no row of another key; tables
that a killed repair left are dropped by the next one, by a reset, and by the next version of the projection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from actorium.corrections.impact.touched_rows import HandlerNowFails, recorder
from actorium.runtime.log.log_reader import Delivered, LogReader, Unread
from actorium.runtime.processors.processor import Processor
from actorium.runtime.projections.key_column import KeyValue
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.row_fold import Recorded, folded
from actorium.runtime.projections.table_projection import names_of
from actorium.store.errors import StatementFailed
from actorium.store.event_store import EventStore, Statement
from actorium.store.events import Event, RecordedEvent
from actorium.store.raised import let_through
from actorium.store.tables.dialect import TableObject

_KEYS_AT_ONCE = 500
"""So many keys are in one statement."""


class BesideRepair:
    """One repair of a projection with a schema; it runs in the processor's task, so the projection does not move."""

    def __init__(
        self, projection: type[Projection], processor: Processor, store: EventStore, log_reader: LogReader
    ) -> None:
        definition = projection.__definition__
        self._classes = frozenset(definition.handlers)
        self._key = definition.key
        self._checkpoint = processor.checkpoint
        self._store = store
        self._log_reader = log_reader
        self._own = names_of(projection, definition.version, store.dialect)
        self._beside = names_of(projection, definition.version, store.dialect, beside=True)
        self._record = recorder(projection, self._beside)

    def keys_of(self, events: Collection[RecordedEvent[Event]]) -> frozenset[KeyValue] | None:
        """Return the keys of the rows that events can change; None for all rows."""
        if self._key is None:
            return None
        keys: set[KeyValue] = set()
        for event in events:
            if isinstance(event.event, tuple(self._classes)):
                found = self._key.keys(event)
                if found is None:
                    return None
                keys |= found
        return frozenset(keys)

    async def repair(self, keys: frozenset[KeyValue] | None) -> int | None:
        """Replace the rows with some keys, or all rows for None; return how many there are now.

        Returns None, with the rows as they were, if they cannot be copied: the schema has a trigger, a view or a
        virtual table, or a handler or a statement fails.
        """
        if self._own.are_tied:
            return None
        if keys is not None and not keys:
            return 0
        try:
            await self._write([*await self._drops(), *((statement, ()) for statement in self._beside.schema())])
            await self._replay(keys)
            tables = await self._tables()
            if tables is None:
                return None
            rows = 0
            for table in tables:
                for condition, parameters in self._conditions(keys):
                    sql = self._translated(f"SELECT count(*) FROM {self._place(self._beside.prefix, table)}{condition}")
                    [(number,)] = await self._store.query(sql, parameters)
                    rows += number
            await self._write([*self._copies(tables, keys), *await self._drops()])
            return rows
        except (StatementFailed, HandlerNowFails):
            await self._write(await self._drops())
            return None

    async def _replay(self, keys: frozenset[KeyValue] | None) -> None:
        """Write the tables beside as the log has them at the checkpoint, without held back and skipped events."""
        position, end = 0, self._checkpoint.position
        while position < end:
            found = await self._log_reader.after(position, self._classes)
            recorded: list[Recorded] = []
            for delivered in found.events:
                if delivered.position <= end and not self._checkpoint.letters.hold_back(delivered):
                    recorded += self._changes(delivered, keys)
            if recorded:
                statements, rows = folded(recorded, self._beside.row_tables)
                await self._checkpoint.save(end, statements, rows=rows)
            if found.position == position:
                return
            position = found.position

    def _changes(self, delivered: Delivered, keys: frozenset[KeyValue] | None) -> Sequence[Recorded]:
        if isinstance(delivered, Unread):
            return ()
        if keys is not None and self._key is not None:
            own = self._key.keys(delivered)
            if own is not None and own.isdisjoint(keys):
                return ()
        try:
            return self._record(delivered)
        except BaseException as raised:
            let_through(raised)
            raise HandlerNowFails from raised

    def _copies(self, tables: Sequence[str], keys: frozenset[KeyValue] | None) -> Iterator[Statement]:
        for table in tables:
            own, beside = self._place(self._own.prefix, table), self._place(self._beside.prefix, table)
            for condition, parameters in self._conditions(keys):
                yield self._translated(f"DELETE FROM {own}{condition}"), parameters
                yield self._translated(f"INSERT INTO {own} SELECT * FROM {beside}{condition}"), parameters

    def _conditions(self, keys: frozenset[KeyValue] | None) -> Iterator[tuple[str, Sequence[KeyValue]]]:
        """Yield the conditions that together name the rows with the keys."""
        if keys is None or self._key is None:
            yield "", ()
            return
        ordered = sorted(keys, key=repr)
        for first in range(0, len(ordered), _KEYS_AT_ONCE):
            some = ordered[first : first + _KEYS_AT_ONCE]
            yield f" WHERE {self._key.column} IN ({', '.join('?' * len(some))})", some

    async def _tables(self) -> list[str] | None:
        """Return the plain names of the tables; None if the database has others than the schema names."""
        prefix = self._beside.prefix
        found = {thing.name for thing in await self._objects()}
        tables = [plain for plain in self._beside.plain if f"{prefix}{plain}" in found]
        return tables if len(tables) == len(found) else None

    async def _drops(self) -> list[Statement]:
        return [(self._store.dialect.drop(thing), ()) for thing in await self._objects()]

    async def _objects(self) -> list[TableObject]:
        listed = await self._store.query(*self._store.dialect.list_objects(self._beside.prefix))
        return [TableObject(*row) for row in listed]

    async def _write(self, statements: Sequence[Statement]) -> None:
        await self._checkpoint.save(self._checkpoint.position, statements)

    def _place(self, prefix: str, table: str) -> str:
        return self._store.dialect.quoted(f"{prefix}{table}")

    def _translated(self, sql: str) -> str:
        return self._store.dialect.translated(sql)
