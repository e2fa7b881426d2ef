"""The rows of a projection that its handlers write for some events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from actorium.runtime.processors.event_handlers import arguments
from actorium.runtime.projections.projection import Projection, Transaction
from actorium.runtime.projections.row_fold import DELETE, Recorded
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.table_projection import names_of
from actorium.runtime.projections.tables import Table, definition_of
from actorium.store.events import Event, RecordedEvent
from actorium.store.raised import let_through
from actorium.store.tables.dialect import Dialect

Record = Callable[[RecordedEvent[Event]], Sequence[Recorded]]
"""Returns what the handler of an event records."""


class HandlerNowFails(Exception):
    """A handler fails on an event that it has handled before: only a reset can park the event."""


class TouchedRows(NamedTuple):
    """The keys of the rows by table, the number of SQL statements, and the number of events that a handler fails on."""

    keys: Mapping[str, Sequence[Sequence[Any]]]
    statements: int
    parked: int


def recorder(projection: type[Projection], names: TableNames) -> Record:
    """Return a function that runs the handlers of a projection with tables and returns what they record.

    Nothing is written: a handler with tables only records its changes.

    names: the tables that its statements are about.
    """
    definition = projection.__definition__
    instance = projection()
    recorded: list[Recorded] = []
    transaction = Transaction(recorded, names)

    def record(event: RecordedEvent[Event]) -> Sequence[Recorded]:
        recorded.clear()
        handler = definition.handler_of(type(event.event))
        handler.method(instance, *arguments(handler, event, {Transaction: transaction}))
        return tuple(recorded)

    return record


def changed_row(recorded: Recorded) -> tuple[type[Table], tuple[Any, ...]] | None:
    """Return the table and the key of a recorded change; None for an SQL statement."""
    kind: Any
    what: Any
    kind, what = recorded
    if isinstance(kind, str):
        return None
    if kind == DELETE:
        return what[0], tuple(what[1])
    table: type[Table] = type(what)
    return table, msgspec.structs.astuple(what)[: len(definition_of(table).shape.keys)]


def touched_rows(projection: type[Projection], dialect: Dialect, events: Iterable[RecordedEvent[Event]]) -> TouchedRows:
    """Return the rows that a projection's handlers write for some events."""
    if not projection.__definition__.has_tables:
        return TouchedRows({}, 0, 0)
    record = recorder(projection, names_of(projection, projection.__definition__.version, dialect))
    keys: dict[str, dict[tuple[Any, ...], None]] = {}
    statements = parked = 0
    for event in events:
        try:
            for recorded in record(event):
                row = changed_row(recorded)
                if row is None:
                    statements += 1
                else:
                    keys.setdefault(definition_of(row[0]).name, {})[row[1]] = None
        except BaseException as raised:
            let_through(raised)
            parked += 1
    return TouchedRows({table: list(found) for table, found in keys.items()}, statements, parked)
