"""Given / then for one projection, without a runtime, a log or an event loop."""

from __future__ import annotations

import copy
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, overload

from actorium.runtime.processors.event_handlers import arguments
from actorium.runtime.projections.projection import Projection, Query, Reader, Transaction, answer_at_once
from actorium.runtime.projections.row_fold import Recorded, folded
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.table_projection import names_of
from actorium.runtime.projections.tables import Table, definition_of
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, Metadata, RecordedEvent, as_json
from actorium.store.guard import StatementGuard
from actorium.store.sql.checkpoints import change_rows, run_statements
from actorium.store.sql.checkpoints import query as rows_of
from actorium.store.tables.dialect import SQLiteDialect
from actorium.testing.personal_data import as_encrypted

T = TypeVar("T", bound=Table)


def given_events(projection: type[Projection], *events: Event, id: str = "test") -> GivenEvents:
    """Start a test with a projection and its first events: `given_events(Balances, Deposited(5), id="alice")`.

    Args:
        projection: the class under test.
        events: the events for its handlers, in this order, each as decoded from its JSON.
        id: the id of the aggregate whose events these are.

    Raises:
        ConfigurationError: the class is not a projection, or does not handle one of the events.
    """
    what: object = projection
    if not (isinstance(what, type) and issubclass(what, Projection) and what is not Projection):
        raise ConfigurationError(f"given_events(…) takes a Projection class, such as Balances, not {what!r}")
    return GivenEvents(projection).and_events(*events, id=id)


class GivenEvents:
    """A projection that has handled some events.

    `and_events` and `after` say what happens next; the `then…` methods check the read model. All of them return the
    object, so that calls can be chained.
    """

    def __init__(self, projection: type[Projection]) -> None:
        definition = projection.__definition__
        definition.require_state()
        self._projection = projection
        self._instance = projection()
        self._versions: dict[str, int] = {}
        self._position = 0
        self._now_us = 0
        self._names = names_of(projection, definition.version, SQLiteDialect())
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        weakref.finalize(self, self._db.close)
        self._guard = StatementGuard(frozenset(), reads_only=False)
        self._query_guard = StatementGuard(frozenset(), reads_only=True)
        if definition.has_tables:
            run_statements(self._db, [(statement, ()) for statement in self._names.schema()], self._guard)

    # --- what happens ---------------------------------------------------------------------------------------------

    def and_events(self, *events: Event, id: str = "test", metadata: Metadata | None = None) -> GivenEvents:
        """Deliver further events to the handlers.

        Args:
            events: the events, in order.
            id: the id of the aggregate whose events these are.
            metadata: the metadata recorded with them, such as headers.

        Raises:
            ConfigurationError: the projection does not handle one of the events.
            ValueError: a field of an event has the wrong type or changes in JSON.
        """
        for event in events:
            self._apply(event, id, metadata or Metadata(command_id=f"test/{self._position + 1}"))
        return self

    def after(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> GivenEvents:
        """Let time pass: `recorded_at` of later events moves forward by this much; the first events were
        recorded on 1970-01-01.
        """
        passed = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        self._now_us += round(passed.total_seconds() * 1_000_000)
        return self

    # --- what to check --------------------------------------------------------------------------------------------

    @overload
    def then_rows(self, what: type[T], rows: Sequence[T]) -> GivenEvents: ...
    @overload
    def then_rows(self, what: str, rows: Sequence[Sequence[Any]], *, parameters: Sequence[Any] = ()) -> GivenEvents: ...
    def then_rows(self, what: type[Table] | str, rows: Sequence[Any], *, parameters: Sequence[Any] = ()) -> GivenEvents:
        """Check the rows of a table, or of a query over the projection's tables.

        Args:
            what: a `Table` class of the projection, or a query with the plain names of its tables.
            rows: all rows of the table in the order of their keys, or those of the query as tuples; add an ORDER BY to
                a query that returns several.
            parameters: the values for the `?` placeholders in a query.
        """
        if not isinstance(what, str):
            found = rows_of(self._db, self._names.select(what, 0), (), self._query_guard)
            self._check(f"{what.__name__} rows", [definition_of(what).decoded(row) for row in found], list(rows))
            return self
        sql = what
        self._check(sql, self._fetched(sql, parameters), [tuple(row) for row in rows])
        return self

    def then_query(self, query: Query[Any], *arguments: Any, expected: Any) -> GivenEvents:
        """Check the answer to one of the projection's queries.

        Raises:
            ConfigurationError: the query belongs to another projection, or awaits something other than its Reader.
        """
        what: object = query
        if not (isinstance(what, Query) and what.projection is self._projection):
            raise ConfigurationError(f"{query!r} is not a query of {self._projection.__name__}")
        own = (Reader(self._fetch),) if query.wants_reader else ()
        waits = ConfigurationError(f"{query!r} awaits something other than its Reader: test it with a Runtime")
        answer = answer_at_once(query.method(self._instance, *own, *arguments), waits)
        self._check(repr(query), copy.deepcopy(answer), expected)
        return self

    def then_state(self, **fields: Any) -> GivenEvents:
        """Check fields of a projection without tables."""
        for name, expected in fields.items():
            self._check(name, getattr(self._instance, name), expected)
        return self

    # --- inside ---------------------------------------------------------------------------------------------------

    def _apply(self, event: Event, id: str, metadata: Metadata) -> None:
        definition = self._projection.__definition__
        event_class = type(event)
        if not issubclass(event_class, tuple(definition.handlers)):
            raise ConfigurationError(f"{self._projection.__name__} does not handle {event_class.__name__}")
        _, stored = EventCodec([event_class]).encode(as_encrypted(event, id), as_json(metadata))
        self._position += 1
        version = self._versions[id] = self._versions.get(id, 0) + 1
        recorded = RecordedEvent("Test", id, version, self._position, stored, metadata, self._now_us)
        recorded_changes: list[Recorded] = []
        given: dict[type, Any] = {Transaction: Transaction(recorded_changes, self._names)}
        handler = definition.handler_of(event_class)
        handler.method(self._instance, *arguments(handler, recorded, given))
        statements, rows = folded(recorded_changes, self._names.row_tables)
        run_statements(self._db, statements, self._guard)
        change_rows(self._db, rows)

    async def _fetch(self, text_of: Callable[[TableNames], str], parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._db, text_of(self._names), parameters, self._query_guard)

    def _fetched(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._db, self._names.rewrite_query(sql), parameters, self._query_guard)

    def _check(self, what: str, actual: Any, expected: Any) -> None:
        if actual != expected:
            events = "1 event" if self._position == 1 else f"{self._position} events"
            raise AssertionError(f"expected {what} to be {expected!r} after {events}, got {actual!r}")
