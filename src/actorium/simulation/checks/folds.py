"""Folds of the log through a projection's own handlers, independent of the runtime: the expected read models."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, Protocol

from actorium.runtime.processors.event_handlers import arguments, nearest
from actorium.runtime.projections.projection import Projection, Query, Reader, Transaction, answer_at_once
from actorium.runtime.projections.row_fold import Recorded, folded
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.table_projection import names_of
from actorium.store.events import Event, RecordedEvent
from actorium.store.guard import StatementGuard
from actorium.store.sql.checkpoints import change_rows, run_statements
from actorium.store.sql.checkpoints import query as fetch
from actorium.store.tables.dialect import SQLiteDialect, TableObject

_DIALECT = SQLiteDialect()


class Unanswerable(Exception):
    """The fold cannot answer a query the way the runtime did: it waits, or reads the tables more than once."""


class Fold(Protocol):
    """A read model that is independent of the runtime."""

    def apply(self, recorded: RecordedEvent[Event]) -> bool:
        """Pass an event to the projection's handler; return whether there is a handler for it."""

    def content(self) -> Any:
        """Return the whole content of the read model, for comparison."""

    def ask(self, query: Query[Any], arguments: tuple[Any, ...]) -> Any:
        """Return the answer to a query; raise Unanswerable if the fold cannot compute it."""

    def close(self) -> None:
        """Release its resources."""


class TableFold:
    """The tables of a projection, in a separate database."""

    def __init__(self, projection: type[Projection]) -> None:
        definition = projection.__definition__
        self.names: TableNames = names_of(projection, definition.version, _DIALECT)
        self._handlers = definition.handlers
        self._instance = projection()
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        empty, self._guard, self._query_guard = _empty_tables(tuple(self.names.schema()))
        self._db.deserialize(empty)
        self._reads = 0

    def apply(self, recorded: RecordedEvent[Event]) -> bool:
        handler = nearest(self._handlers, type(recorded.event))
        if handler is None:
            return False
        results: list[Recorded] = []
        transaction = Transaction(results, self.names)
        handler.method(self._instance, *arguments(handler, recorded, {Transaction: transaction}))
        statements, rows = folded(results, self.names.row_tables)
        run_statements(self._db, statements, self._guard)
        change_rows(self._db, rows)
        return True

    def tables(self) -> list[str]:
        """Return the names of its tables and views, sorted."""
        objects = self._db.execute(*_DIALECT.list_objects(self.names.prefix))
        return sorted(TableObject(*row).name for row in objects)

    def content(self) -> dict[str, list[str]]:
        return {name: as_content(self._db.execute(select_all(name))) for name in self.tables()}

    def ask(self, query: Query[Any], arguments: tuple[Any, ...]) -> Any:
        self._reads = 0
        own = (Reader(self._fetch),) if query.wants_reader else ()
        return answer_at_once(query.method(self._instance, *own, *arguments), Unanswerable())

    async def _fetch(self, text_of: Callable[[TableNames], str], parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._reads += 1
        if self._reads > 1:
            raise Unanswerable
        return fetch(self._db, text_of(self.names), parameters, self._query_guard)

    def close(self) -> None:
        self._db.close()


class MemoryFold:
    """The state of a projection without tables."""

    def __init__(self, projection: type[Projection]) -> None:
        self._handlers = projection.__definition__.handlers
        self._instance = projection()

    def apply(self, recorded: RecordedEvent[Event]) -> bool:
        handler = nearest(self._handlers, type(recorded.event))
        if handler is None:
            return False
        handler.method(self._instance, *arguments(handler, recorded, {}))
        return True

    def content(self) -> Projection:
        return self._instance

    def ask(self, query: Query[Any], arguments: tuple[Any, ...]) -> Any:
        return answer_at_once(query.method(self._instance, *arguments), Unanswerable())

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def fold_of(projection: type[Projection]) -> Fold:
    """Return an empty read model for a projection."""
    return TableFold(projection) if projection.__definition__.has_tables else MemoryFold(projection)


@lru_cache(maxsize=32)
def _empty_tables(schema: tuple[str, ...]) -> tuple[bytes, StatementGuard, StatementGuard]:
    """Return a database with the tables of a schema, and guards for handlers and queries.

    Each run of a campaign starts from a copy of the database. The guards are shared: they check each statement once,
    and with the same tables it means the same.
    """
    guard = StatementGuard(frozenset(), reads_only=False)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        run_statements(db, [(statement, ()) for statement in schema], guard)
        return db.serialize(), guard, StatementGuard(frozenset(), reads_only=True)


def select_all(table: str) -> str:
    """Return the query for all rows of a table."""
    return f'SELECT * FROM "{table}"'


def as_content(rows: Iterable[Any]) -> list[str]:
    """Return rows in a comparable form; their order in a table has no meaning."""
    return sorted(map(repr, rows))
