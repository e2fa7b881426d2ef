"""`Projection`: turns events into a read model: tables in the store, or plain Python state.

A projection with `tables` or a `schema` keeps tables: its handlers record changes of rows and statements in a
`Transaction`, which are written together with the checkpoint. Otherwise its fields are its state, which is rebuilt from
the log at each start.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

import msgspec

from actorium.actors.annotations import HandlerMeta, hints_of
from actorium.actors.snapshots import code_of, shape_of
from actorium.runtime.processors.delivery import OnFailure
from actorium.runtime.processors.event_handlers import (
    EventHandler,
    by_event_class,
    correlation_of,
    marked_handlers,
    nearest,
    read_handler,
)
from actorium.runtime.projections.key_column import KeyColumn
from actorium.runtime.projections.row_fold import ADD, DELETE, PUT, Recorded
from actorium.runtime.projections.table_names import TableNames
from actorium.runtime.projections.tables import Table, definition_of
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, RecordedEvent, event_type_of
from actorium.store.upcasting import is_version

_NAME = re.compile(r"[^\W\d]\w*")

P = ParamSpec("P")
R = TypeVar("R")


T = TypeVar("T", bound=Table)
Fetch = Callable[[Callable[[TableNames], str], Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""Runs a query, whose text depends on the names of the tables, with these parameters."""


class Transaction:
    """Records a handler's writes, which are committed atomically with the checkpoint.

    SQL statements take effect in the order in which they are recorded; so do changes to rows (`put`, `add`, `delete`).
    The two are not ordered with each other, so a statement cannot use the tables listed in `tables`.
    """

    __slots__ = ("_addable", "_record", "_rewrite", "_rewritten", "_tables")

    def __init__(self, recorded: list[Recorded], names: TableNames) -> None:
        self._record = recorded.append
        self._rewrite = names.rewrite
        self._rewritten = names.rewritten  # bound directly: hot path of a rebuild
        self._tables = names.row_tables
        self._addable = names.addable

    def execute(self, sql: str, *parameters: Any) -> None:
        """Record an SQL statement with its parameters: `tx.execute("INSERT INTO t VALUES (?)", 1)`."""
        self._record((self._rewritten.get(sql) or self._rewrite(sql), parameters))

    def put(self, row: Table) -> None:
        """Write a whole row: `tx.put(Owner("alice", name="Alice"))`. It replaces the row with the same key, if any.

        Raises:
            ConfigurationError: the class of the row is not in `tables` of the projection.
        """
        if type(row) not in self._tables:
            raise _unknown(type(row))
        self._record((PUT, row))

    def add(self, row: Table) -> None:
        """Add a row's numbers to those of the row with the same key: `tx.add(Balance("alice", amount=5))`.

        Every `int` column is added; each other column takes the new value. A None changes nothing. If there is no row
        with that key, this one is written.

        Raises:
            ConfigurationError: the class of the row is not in `tables` of the projection, or has a `float` column: a
                sum of floats depends on their order, so a rebuild could give a different one.
        """
        table = type(row)
        if table not in self._addable:
            if table not in self._tables:
                raise _unknown(table)
            raise ConfigurationError(
                f"tx.add({table.__name__}(…)): it has a float column, and sums of floats depend on their order: use "
                "an int (cents, for example), or tx.put"
            )
        self._record((ADD, row))

    def delete(self, table: type[Table], *key: Any) -> None:
        """Remove the row with a key, if there is one: `tx.delete(Balance, "alice")`.

        Raises:
            ConfigurationError: the class is not in `tables` of the projection, or the key is not complete.
        """
        if table not in self._tables:
            raise _unknown(table)
        columns = definition_of(table).shape.keys
        if len(key) != len(columns):
            names = ", ".join(column.name for column in columns)
            raise ConfigurationError(f"tx.delete({table.__name__}, …) takes the whole key ({names}), not {key!r}")
        self._record((DELETE, (table, key)))


def _unknown(table: type) -> ConfigurationError:
    return ConfigurationError(f"{table.__name__} is not in `tables` of the projection: add the class there")


class Reader:
    """Reads a projection's tables in a query; it sees only committed rows.

    Each call sees one consistent state, but two calls may see different ones: read related data in one call.
    """

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def fetch_all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return all rows of an SQL query, as tuples."""
        return await self._fetch(lambda names: names.rewrite_query(sql), parameters)

    async def fetch_one(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        """Return the first row of an SQL query, or None if there is none."""
        rows = await self.fetch_all(sql, *parameters)
        return rows[0] if rows else None

    async def get(self, table: type[T], *key: Any) -> T | None:
        """Return the row with a key, or None if there is none: `await db.get(Balance, "alice")`.

        Raises:
            ConfigurationError: the class is not in `tables` of the projection, or the key is not complete.
        """
        if len(key) < len(definition_of(table).shape.keys):
            raise ConfigurationError(f"db.get({table.__name__}, …) takes the whole key, not {key!r}; use db.rows")
        rows = await self.rows(table, *key)
        return rows[0] if rows else None

    async def rows(self, table: type[T], *key: Any) -> list[T]:
        """Return the rows whose key begins with these values, in the order of their keys; all rows if there are none.

        Raises:
            ConfigurationError: the class is not in `tables` of the projection, or the values do not fit its key.
        """
        definition = definition_of(table)
        found = await self._fetch(lambda names: names.select(table, len(key)), definition.key(key))
        return [definition.decoded(row) for row in found]


class Query(Generic[R]):
    """A query of a projection; run it with `runtime.query(Balances.of, "alice")`."""

    __actorium_handler__ = True

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.projection: type[Projection] | None = None
        self.wants_reader = False
        self.__doc__ = method.__doc__
        self.__name__ = method.__name__

    def __set_name__(self, owner: type[Projection], name: str) -> None:
        self.projection = owner

    def __get__(self, instance: object, owner: type[Projection]) -> Query[R]:
        if self.projection is owner:
            return self
        inherited: Query[R] = Query(self.method)
        inherited.projection, inherited.wants_reader = owner, self.wants_reader
        return inherited

    def __repr__(self) -> str:
        owner = self.projection.__name__ if self.projection is not None else "?"
        return f"{owner}.{self.__name__}"


@overload
def query(method: Callable[Concatenate[Any, P], Awaitable[R]]) -> Query[R]: ...
@overload
def query(method: Callable[Concatenate[Any, P], R]) -> Query[R]: ...
def query(method: Callable[..., Any]) -> Query[Any]:
    """Mark a method that queries the read model; a parameter annotated `Reader` gives access to its tables."""
    return Query(method)


class ProjectionDefinition:
    """The declarations of a projection class, checked when the class is defined."""

    __slots__ = (
        "_schema",
        "handlers",
        "has_schema",
        "has_tables",
        "key",
        "name",
        "projection_class",
        "tables",
        "version",
    )

    def __init__(self, projection_class: type[Projection], names: Mapping[str, Any]) -> None:
        self.projection_class = projection_class
        self.name: str = projection_class.__dict__.get("projection_name") or projection_class.__name__
        self.version = projection_class.version
        owner = projection_class.__name__
        self._schema = _checked_schema(owner, projection_class.schema)
        self.tables = _checked_tables(owner, projection_class.tables)
        self.has_schema = bool(self._schema)
        self.has_tables = bool(self._schema or self.tables)
        self.key = projection_class.key
        if self.key is not None and not (self.has_schema and isinstance(self.key, KeyColumn)):
            raise ConfigurationError(
                f"{owner}.key = {self.key!r}: must be KeyColumn(…), for a projection with a schema; rows of `tables` "
                "have keys of their own"
            )
        if not is_version(self.version):
            raise ConfigurationError(f"{owner}.version = {self.version!r}: version must be an integer, 1 or more")
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"{owner}.projection_name = {self.name!r} may hold only letters, digits and _")
        _check_snapshot_every(projection_class, self.has_tables)
        if projection_class.on_failure not in ("park", "stop"):
            raise ConfigurationError(f'{owner}.on_failure = {projection_class.on_failure!r}: must be "park" or "stop"')
        extras = (RecordedEvent, Transaction) if self.has_tables else (RecordedEvent,)
        handlers = []
        for method in marked_handlers(projection_class):
            if inspect.iscoroutinefunction(method):
                raise ConfigurationError(
                    f"{owner}.{method.__name__} is async: a projection's handler must be synchronous; external effects "
                    "belong in a @react function"
                )
            if inspect.isgeneratorfunction(method):
                raise ConfigurationError(
                    f"{owner}.{method.__name__} contains a yield, so calling it would do nothing: remove the yield"
                )
            if correlation_of(method) is not None:
                raise ConfigurationError(f"{owner}.{method.__name__}: @on(correlate=…) is for sagas; use @on")
            handlers.append(read_handler(method, f"{owner}.{method.__name__}", names, extras=extras))
        if not handlers:
            raise ConfigurationError(f"{owner} handles no events: give it @on methods")
        self.handlers: dict[type[Event], EventHandler] = by_event_class(owner, handlers)
        for value in vars(projection_class).values():
            if isinstance(value, Query):
                hints = hints_of(value.method, f"{owner}.{value.__name__}", names)
                value.wants_reader = Reader in hints.values()
                if value.wants_reader and not self.has_tables:
                    raise ConfigurationError(
                        f"{owner}.{value.__name__} has a Reader parameter, but {owner} has neither a schema nor tables"
                    )

    def handler_of(self, event_class: type[Event]) -> EventHandler:
        """Return the handler of an event class: its own, or that of its nearest base."""
        handler = nearest(self.handlers, event_class)
        assert handler is not None, f"{self.name} was given {event_class.__name__}, which it does not handle"
        return handler

    def schema_for(self, dialect: str) -> str:
        """Return the SQL of the schema for a dialect; raise ConfigurationError if it has none."""
        if isinstance(self._schema, str):
            return self._schema
        if dialect not in self._schema:
            owner, known = self.projection_class.__name__, ", ".join(map(repr, self._schema))
            raise ConfigurationError(
                f"{owner}.schema has SQL for {known}, but this store's dialect is {dialect!r}: add "
                f'{dialect!r}: "CREATE TABLE …" to it'
            )
        return self._schema[dialect]

    def handlers_fingerprint(self) -> int:
        """Return a number, never 0, that identifies the code of the handlers and the fields of their events.

        It does not cover functions that the handlers call.
        """
        parts: list[str] = []
        for event_class, handler in sorted(self.handlers.items(), key=lambda item: event_type_of(item[0])):
            parts += (event_type_of(event_class), *shape_of(event_class), *code_of(handler.method))
        for table in self.tables:
            parts += shape_of(table)
        return 1 + int.from_bytes(sha256("\0".join(parts).encode()).digest()[:7])

    def require_state(self) -> None:
        """Raise ConfigurationError for fields that cannot be the state of a read model."""
        projection, owner = self.projection_class, self.projection_class.__name__
        names, defaults = projection.__struct_fields__, projection.__struct_defaults__
        without = len(names) - len(defaults)
        for name, default in zip(names, (msgspec.NODEFAULT,) * without + defaults, strict=True):
            if self.has_tables:
                # A change to it would not be written with the checkpoint, nor undone with a failed event.
                raise ConfigurationError(
                    f"{owner}.{name}: the state of a projection with a schema is its tables; declare a "
                    "constant as ClassVar, and keep changing data in a table"
                )
            if default is msgspec.NODEFAULT:
                raise ConfigurationError(
                    f"{owner}.{name} has no default: a projection begins empty, so give the field a default"
                )


def _checked_schema(owner: str, schema: Any) -> str | Mapping[str, str]:
    """Return a projection's schema, empty if it has none."""
    if isinstance(schema, str):
        return schema if schema.strip() else ""
    if not (isinstance(schema, Mapping) and schema):
        raise ConfigurationError(f"{owner}.schema = {schema!r}: must be SQL, or a dict of SQL by dialect")
    for dialect, sql in schema.items():
        if not (isinstance(dialect, str) and isinstance(sql, str) and sql.strip()):
            raise ConfigurationError(f"{owner}.schema[{dialect!r}] = {sql!r}: must be SQL, under the name of a dialect")
    return schema


def _checked_tables(owner: str, tables: Any) -> tuple[type[Table], ...]:
    if isinstance(tables, str | type) or not isinstance(tables, Sequence):
        raise ConfigurationError(f"{owner}.tables = {tables!r}: must be a list of Table classes")
    names: dict[str, type[Table]] = {}
    for table in tables:
        name = definition_of(table).name.lower()
        if name in names:
            raise ConfigurationError(f"{owner}.tables: {table.__name__} has the name of another table, {name!r}")
        names[name] = table
    for table in tables:
        columns = definition_of(table).shape
        for column in (*columns.keys, *columns.values):
            if column.name.lower() in names:
                raise ConfigurationError(f"{owner}.tables: {table.__name__}.{column.name} has the name of a table")
    return tuple(tables)


def _check_snapshot_every(projection: type[Projection], has_tables: bool) -> None:
    every = projection.snapshot_every
    if every and has_tables:
        raise ConfigurationError(
            f"{projection.__name__}.snapshot_every = {every!r}: a projection with a schema is kept in its tables; "
            "remove snapshot_every"
        )
    if type(every) is not int or every < 0:
        raise ConfigurationError(
            f"{projection.__name__}.snapshot_every = {every!r}: must be a number of events, or 0 for no snapshots"
        )


class Projection(msgspec.Struct, metaclass=HandlerMeta):
    """Base class for projections, which build a read model from events. For tables, set `tables` or `schema`.

    version: raise it whenever the handlers or the schema change. The new version is built beside the old one, which
        answers queries until the new one has caught up.
    tables: `Table` classes, whose rows the handlers write with `tx.put`, `tx.add` and `tx.delete`, on every store.
    schema: SQL that creates further tables or indexes; a dict maps each dialect to its SQL:
        `{"sqlite": …, "postgresql": …}`. A projection with neither `tables` nor `schema` keeps its state in its fields.
    snapshot_every: for a projection without tables, the number of events between saved states, so that a start does
        not read the whole log; 0 for never.
    key: for a projection with a schema, the column that says which rows an event can change, so that a correction case
        repairs only those: `key = KeyColumn("account", of=lambda recorded: recorded.stream_id)`.
    on_failure: what to do when every attempt of a handler has failed. "park" sets the event aside for an operator and
        continues with other streams; "stop" stops the projection, for a read model that must not skip an event.
    """

    version: ClassVar[int] = 1
    tables: ClassVar[Sequence[type[Table]]] = ()
    schema: ClassVar[str | Mapping[str, str]] = ""
    projection_name: ClassVar[str] = ""
    snapshot_every: ClassVar[int] = 0
    key: ClassVar[KeyColumn | None] = None
    on_failure: ClassVar[OnFailure] = "park"
    __definition__: ClassVar[ProjectionDefinition]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__definition__ = ProjectionDefinition(cls, sys._getframe(1).f_locals)


def answer_at_once(answer: Any, waits: Exception) -> Any:
    """Return the answer of a query method without an event loop; raise `waits` if a coroutine waits for something."""
    if not inspect.iscoroutine(answer):
        return answer
    try:
        answer.send(None)
    except StopIteration as end:
        return end.value
    answer.close()
    raise waits
