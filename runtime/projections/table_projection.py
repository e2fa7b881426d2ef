"""`TableProjection`: the work of one version of a projection that keeps tables.

Invariants: the tables of a version, its checkpoint and its dead letters move together; queries see the version that
`current` names, which changes in one commit, when the newer one has caught up; every other version is dropped in that
same commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import MethodType
from typing import Any
from zlib import crc32

from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.event_handlers import EventHandler, arguments
from actorium.runtime.projections.projection import Projection, Reader, Transaction
from actorium.runtime.projections.table_names import TableNames
from actorium.store.errors import ConfigurationError, StatementFailed
from actorium.store.event_store import EventStore, SaveCheckpoint, Statement
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.tables.dialect import Dialect, TableObject

log = logger("actorium.runtime")

_MOST_TAKE = (RecordedEvent, Transaction)  # after the event


class _Handlers(dict[type[Event], tuple[EventHandler, MethodType, bool]]):
    """By class of event, found when it first comes: the handler, bound, and whether it takes just what most take."""

    def __init__(self, instance: Projection) -> None:
        super().__init__()
        self._instance = instance

    def __missing__(self, event_class: type[Event]) -> tuple[EventHandler, MethodType, bool]:
        handler = self._instance.__definition__.handler_of(event_class)
        found = self[event_class] = (handler, MethodType(handler.method, self._instance), handler.extras == _MOST_TAKE)
        return found


class TableProjection:
    """Events to statements, and the life of the tables they go to.

    turns: lets so many queries at a time ask the store.
    """

    def __init__(
        self, projection: type[Projection], checkpoint: Checkpoint, store: EventStore, turns: asyncio.Semaphore
    ) -> None:
        definition = projection.__definition__
        self.definition = definition
        self.event_classes = frozenset(definition.handlers)
        self.instance = projection()
        self._checkpoint = checkpoint
        self._store = store
        self._turns = turns
        self._current = Checkpoint(current_name(definition.name), store, checkpoint.writer)
        self._dialect = store.dialect
        self._names = names_of(projection, definition.version, self._dialect)
        self._statements: list[Statement] = []
        self._transaction = Transaction(self._statements, self._names)
        self._handlers = _Handlers(self.instance)

    # --- events ---------------------------------------------------------------------------------------------------

    def apply(self, recorded: RecordedEvent[Event], statements: list[Statement]) -> None:
        """Have the handler record its statements."""
        if self._statements is not statements:
            self._statements = statements
            self._transaction = Transaction(statements, self._names)
        event = recorded.event
        handler, method, takes_what_most_take = self._handlers[type(event)]
        if takes_what_most_take:
            method(event, recorded, self._transaction)
        else:
            method(*arguments(handler, recorded, {Transaction: self._transaction}))

    def arranged(self, statements: list[Statement]) -> list[Statement]:
        """Return statements table by table where nothing ties the tables together: runs of one text are cheap."""
        group_of = self._names.group_of
        groups = {sql: group_of(sql) for sql in {sql for sql, _ in statements}}
        if len(groups) < 2 or 0 in groups.values():
            return statements
        return sorted(statements, key=lambda statement: groups[statement[0]])

    async def restore(self, position: int) -> None:
        """Nothing is left behind by a handler that failed: its statements were only recorded."""

    # --- tables ---------------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Whether queries see this version."""
        return self._current.position == self.definition.version

    def reader(self) -> Reader:
        """Return what queries read with: the tables of the version that is current."""
        return Reader(self._fetch)

    async def _fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._turns:
            return await self._fetch_now(sql, parameters)

    async def _fetch_now(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self.is_current:
            return await self._store.query(self._names.rewrite_query(sql), parameters)
        older = names_of(type(self.instance), self._current.position, self._dialect)
        try:
            return await self._store.query(older.rewrite_query(sql), parameters)
        except StatementFailed:
            # The store may have switched, and dropped what was asked, a moment before it says so.
            if await self._store.load_checkpoint(self._current.name) != self.definition.version:
                raise
            return await self._store.query(self._names.rewrite_query(sql), parameters)

    async def prepare(self) -> None:
        """Make the tables of this version, unless they are there."""
        await self._current.load_number()
        await self._checkpoint.load()
        if self._current.position > self.definition.version:
            raise ConfigurationError(
                f"{self._checkpoint.name}: the store holds version {self._current.position} of this projection, the "
                f"code is version {self.definition.version}: run the newer code, or give this one a higher version"
            )
        if self._checkpoint.position == 0:
            await self._make_tables()
        elif await self._store.load_checkpoint(self._schema_name) != self._schema_fingerprint:
            raise ConfigurationError(
                f"{self._checkpoint.name}: its tables were made by another schema than the one it has now: raise its "
                "version, and new tables are built beside the old ones"
            )
        else:
            await self._compare_handlers()
        if self._current.position == 0:
            await self._switch()
        self._checkpoint.ready.set()

    async def _compare_handlers(self) -> None:
        """Warn where the tables hold what other handlers than those of today made of the events."""
        name, fingerprint = self._handlers_name, self.definition.handlers_fingerprint()
        known = await self._store.load_checkpoint(name)
        if known == 0:  # tables of an older release, of whose handlers nothing is known
            await self._checkpoint.writer(SaveCheckpoint(name, fingerprint))
        elif known != fingerprint:
            log.warning(
                "projection_handlers_changed",
                projection=self.definition.name,
                version=self.definition.version,
                advice="older events were handled by other code: raise version, or reset() the projection",
            )

    async def caught_up(self) -> None:
        """Let queries see this version, now that it is where the log is."""
        if not self.is_current:
            await self._switch()
            log.info("projection_switched", projection=self.definition.name, version=self.definition.version)

    async def reset(self) -> None:
        """Empty the tables and begin anew."""
        await self._make_tables()

    async def _make_tables(self) -> None:
        try:
            statements: list[Statement] = [*await self._drops(self._names.prefix)]
            statements += [(statement, ()) for statement in self._names.schema()]
            letters = self._checkpoint.letters
            # First what they are made of: tables without it would be taken for those of another schema.
            await self._checkpoint.writer(SaveCheckpoint(self._schema_name, self._schema_fingerprint))
            handlers = SaveCheckpoint(self._handlers_name, self.definition.handlers_fingerprint())
            await self._checkpoint.writer(handlers)
            await self._checkpoint.save(0, statements, settled=[*letters.parked(), *letters.discarded()])
            letters.forget_all()
        except StatementFailed as failure:
            raise ConfigurationError(f"the schema of {self._checkpoint.name} cannot be made: {failure}") from failure

    async def _switch(self) -> None:
        """Let queries, and people with an SQLite tool, see this version; drop every other."""
        names, version, dialect = self._names, self.definition.version, self._dialect
        prefix = projection_prefix(self.definition.name)
        in_a_view = dialect.quoted(prefix)[:-1]  # as each name that begins so is written, up to its end
        objects = await self._objects("")
        statements: list[Statement] = []
        taken: set[str] = set()
        for thing in objects:
            name = thing.name
            is_older = name.startswith(prefix) and not name.startswith(names.prefix)
            shows_older = thing.kind == "VIEW" and not name.startswith(prefix) and in_a_view in thing.definition
            if is_older or shows_older:
                statements.append((dialect.drop(thing), ()))
            else:
                taken.add(name.lower())
        own = {thing.name for thing in objects}
        for plain in names.plain:
            # A plain name is a convenience for people: what has the name already keeps it.
            if names.prefix + plain in own and plain.lower() not in taken:
                statements.append((dialect.create_view(plain, names.prefix + plain), ()))
        await self._current.save(version, statements)
        self._checkpoint.announce()

    async def _drops(self, prefix: str) -> list[Statement]:
        return [(self._dialect.drop(thing), ()) for thing in await self._objects(prefix)]

    async def _objects(self, prefix: str) -> list[TableObject]:
        """Return the views and tables whose names begin so, with what made them."""
        return [TableObject(*row) for row in await self._store.query(*self._dialect.list_objects(prefix))]

    @property
    def _handlers_name(self) -> str:
        return f"{self._checkpoint.name} handlers"

    @property
    def _schema_name(self) -> str:
        return f"{self._checkpoint.name} schema"

    @property
    def _schema_fingerprint(self) -> int:
        """A number that another schema would hardly have, and never 0."""
        return crc32("\0".join(self._names.schema()).encode()) + 1


def checkpoint_name(name: str, version: int) -> str:
    """Return the name of the checkpoint of one version of a projection."""
    return f"projection {name} version {version}"


def current_name(name: str) -> str:
    """Return the name of the checkpoint whose position is the version that queries see."""
    return f"projection {name} current version"


def projection_prefix(name: str) -> str:
    """Return what the names of all tables of a projection begin with."""
    return f"{name}__v"


def names_of(projection: type[Projection], version: int, dialect: Dialect) -> TableNames:
    """Return the table names of a version of a projection, as far as its code of today names them."""
    definition = projection.__definition__
    return TableNames(f"{projection_prefix(definition.name)}{version}__", definition.schema, dialect)
