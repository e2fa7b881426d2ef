"""`TableProjection`: the work of one version of a projection that keeps tables.

Invariants: the tables of a version, its checkpoint and its dead letters change together. Queries see the version that
`current` names. It changes in one commit, when the newer version has caught up, and that commit drops every other
version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any
from zlib import crc32

from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.delivery import Results
from actorium.runtime.processors.event_handlers import EventHandler, arguments
from actorium.runtime.projections.projection import Projection, Reader, Transaction
from actorium.runtime.projections.row_fold import Recorded, folded
from actorium.runtime.projections.table_names import TableNames
from actorium.store.errors import ConfigurationError, StatementFailed
from actorium.store.event_store import EventStore, SaveCheckpoint, Statement
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.tables.dialect import Dialect, TableObject

log = logger("actorium.runtime")

_MOST_TAKE = (RecordedEvent, Transaction)  # the parameters after the event


class _Handlers(dict[type[Event], tuple[EventHandler, MethodType, bool]]):
    """Handlers by event class, added on first use: the handler, bound, and whether it takes the usual parameters."""

    def __init__(self, instance: Projection) -> None:
        super().__init__()
        self._instance = instance

    def __missing__(self, event_class: type[Event]) -> tuple[EventHandler, MethodType, bool]:
        handler = self._instance.__definition__.handler_of(event_class)
        found = self[event_class] = (handler, MethodType(handler.method, self._instance), handler.extras == _MOST_TAKE)
        return found


class TableProjection:
    """Turns events into changes of tables, and manages the tables they write to.

    turns: limits the number of concurrent queries.
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
        self._recorded: list[Recorded] = []
        self._transaction = Transaction(self._recorded, self._names)
        self._handlers = _Handlers(self.instance)

    # --- events ---------------------------------------------------------------------------------------------------

    def apply(self, recorded: RecordedEvent[Event], results: list[Recorded]) -> None:
        """Let the handler record its statements and changes of rows."""
        if self._recorded is not results:
            self._recorded = results
            self._transaction = Transaction(results, self._names)
        event = recorded.event
        handler, method, takes_what_most_take = self._handlers[type(event)]
        if takes_what_most_take:
            method(event, recorded, self._transaction)
        else:
            method(*arguments(handler, recorded, {Transaction: self._transaction}))

    def written(self, results: list[Recorded]) -> Results:
        """Return what is written: each changed row once, and the statements in a cheap order; raise StatementFailed."""
        statements, rows = folded(results, self._names.row_tables)
        return Results(self._arranged(statements), rows)

    def _arranged(self, statements: Sequence[Statement]) -> Sequence[Statement]:
        """Return the statements grouped by table if the tables are independent: runs of one text are cheap."""
        group_of = self._names.group_of
        groups = {sql: group_of(sql) for sql in {sql for sql, _ in statements}}
        if len(groups) < 2 or 0 in groups.values():
            return statements
        return sorted(statements, key=lambda statement: groups[statement[0]])

    async def restore(self, position: int) -> None:
        """Do nothing: a failed handler leaves nothing behind, because its changes were only recorded."""

    # --- tables ---------------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Whether queries see this version."""
        return self._current.position == self.definition.version

    def reader(self) -> Reader:
        """Return a reader of the current version's tables."""
        return Reader(self._fetch)

    async def _fetch(self, text_of: Callable[[TableNames], str], parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._turns:
            return await self._fetch_now(text_of, parameters)

    async def _fetch_now(
        self, text_of: Callable[[TableNames], str], parameters: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        if self.is_current:
            return await self._store.query(text_of(self._names), parameters)
        older = names_of(type(self.instance), self._current.position, self._dialect)
        try:
            return await self._store.query(text_of(older), parameters)
        except StatementFailed:
            # The store may have switched versions, and dropped these tables, just before reporting it.
            if await self._store.load_checkpoint(self._current.name) != self.definition.version:
                raise
            return await self._store.query(text_of(self._names), parameters)

    async def prepare(self) -> None:
        """Create the tables of this version, unless they exist."""
        await self._current.load_number()
        await self._checkpoint.load()
        self._require_no_newer()
        if self._checkpoint.position == 0:
            await self._make_tables()
        elif await self._store.load_checkpoint(self._schema_name) != self._schema_fingerprint:
            raise ConfigurationError(
                f"{self._checkpoint.name}: its tables were created with a different schema: raise the version, so "
                "that new tables are built beside the old ones"
            )
        else:
            await self._compare_handlers()
        if self._current.position == 0:
            await self._switch()
        self._checkpoint.ready.set()

    def _require_no_newer(self) -> None:
        if self._current.position > self.definition.version:
            raise ConfigurationError(
                f"{self._checkpoint.name}: the store holds version {self._current.position} of this projection, but "
                f"the code has version {self.definition.version}: run the newer code, or raise the version"
            )

    async def look(self) -> bool:
        """Look how far another process has brought the tables; return whether anything changed.

        Until a version can be queried, queries wait.
        """
        version = await self._store.load_checkpoint(self._current.name)
        has_switched = version != self._current.position
        if has_switched:
            self._current.move_in_memory(version)
            self._require_no_newer()
        has_moved = await self._checkpoint.refresh()
        if version:
            self._checkpoint.ready.set()
            if has_switched and not has_moved:
                self._checkpoint.announce()
        return has_switched or has_moved

    async def _compare_handlers(self) -> None:
        """Warn if the tables were filled by handlers with different code."""
        name, fingerprint = self._handlers_name, self.definition.handlers_fingerprint()
        known = await self._store.load_checkpoint(name)
        if known == 0:  # tables of an older release, which saved no fingerprint
            await self._checkpoint.writer(SaveCheckpoint(name, fingerprint))
        elif known != fingerprint:
            log.warning(
                "projection_handlers_changed",
                projection=self.definition.name,
                version=self.definition.version,
                advice="older events were handled by different code: raise version, or reset() the projection",
            )

    async def caught_up(self) -> None:
        """Let queries see this version, now that it has caught up with the log."""
        if not self.is_current:
            await self._switch()
            log.info("projection_switched", projection=self.definition.name, version=self.definition.version)

    async def reset(self) -> None:
        """Empty the tables and begin again."""
        await self._make_tables()

    async def _make_tables(self) -> None:
        try:
            drops, views = await self._drops()
            statements: list[Statement] = [*drops, *((statement, ()) for statement in self._names.schema()), *views]
            letters = self._checkpoint.letters
            # Write the fingerprint first: tables without it would seem to belong to another schema.
            await self._checkpoint.writer(SaveCheckpoint(self._schema_name, self._schema_fingerprint))
            handlers = SaveCheckpoint(self._handlers_name, self.definition.handlers_fingerprint())
            await self._checkpoint.writer(handlers)
            await self._checkpoint.save(0, statements, settled=[*letters.parked(), *letters.discarded()])
            letters.forget_all()
        except StatementFailed as failure:
            raise ConfigurationError(f"the schema of {self._checkpoint.name} cannot be created: {failure}") from failure

    async def _switch(self) -> None:
        """Make this version visible to queries and to users of SQLite tools; drop every other."""
        names, version, dialect = self._names, self.definition.version, self._dialect
        prefix = projection_prefix(self.definition.name)
        in_a_view = dialect.quoted(prefix)[:-1]  # how a name with this prefix begins in the SQL of a view
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
            # A plain name is a convenience for people; an existing object keeps it.
            if names.prefix + plain in own and plain.lower() not in taken:
                statements.append((dialect.create_view(plain, names.prefix + plain), ()))
        await self._current.save(version, statements)
        self._checkpoint.announce()

    async def _drops(self) -> tuple[list[Statement], list[Statement]]:
        """Return the statements that drop this version's objects, and those that create its plain views again.

        Some databases drop no table that a view shows.
        """
        names, dialect = self._names, self._dialect
        shown = dialect.quoted(names.prefix)[:-1]
        objects = await self._objects("")
        views = [
            thing
            for thing in objects
            if thing.kind == "VIEW" and not thing.name.startswith(names.prefix) and shown in thing.definition
        ]
        own = [thing for thing in objects if thing.name.startswith(names.prefix)]
        drops: list[Statement] = [(dialect.drop(thing), ()) for thing in (*views, *own)]
        plain = [thing.name for thing in views if thing.name in names.plain]
        return drops, [(dialect.create_view(name, names.prefix + name), ()) for name in plain]

    async def _objects(self, prefix: str) -> list[TableObject]:
        """Return the views and tables whose names have a prefix, with the SQL that created them."""
        return [TableObject(*row) for row in await self._store.query(*self._dialect.list_objects(prefix))]

    @property
    def _handlers_name(self) -> str:
        return f"{self._checkpoint.name} handlers"

    @property
    def _schema_name(self) -> str:
        return f"{self._checkpoint.name} schema"

    @property
    def _schema_fingerprint(self) -> int:
        """Return a number that identifies the schema with high probability; never 0."""
        return crc32("\0".join(self._names.schema()).encode()) + 1


def checkpoint_name(name: str, version: int) -> str:
    """Return the name of the checkpoint of one version of a projection."""
    return f"projection {name} version {version}"


def current_name(name: str) -> str:
    """Return the name of the checkpoint whose position is the version that queries see."""
    return f"projection {name} current version"


def projection_prefix(name: str) -> str:
    """Return the prefix of all table names of a projection."""
    return f"{name}__v"


def names_of(projection: type[Projection], version: int, dialect: Dialect, *, beside: bool = False) -> TableNames:
    """Return the table names of a version of a projection, as the current code names them.

    beside: those of tables beside its own, for a repair; a reset of the version drops what a killed repair left.
    """
    definition = projection.__definition__
    prefix = f"{projection_prefix(definition.name)}{version}__{'beside__' if beside else ''}"
    return TableNames(prefix, definition.schema_for(dialect.name), dialect, definition.tables)
