"""`TableProjection`: the work of one version of a projection that keeps tables.

Invariants: the tables of a version, its checkpoint and its dead letters move together; queries see the version that
`current` names, which changes in one commit, when the newer one has caught up; a version that is not current and not
ours is dropped in that same commit.
"""

from __future__ import annotations

from typing import Any

import structlog

from actorium.runtime.event_handlers import arguments
from actorium.runtime.ledger import Ledger
from actorium.runtime.projection import Projection, Reader, Transaction
from actorium.runtime.table_names import TableNames, split_statements
from actorium.store.errors import ConfigurationError, StatementFailed
from actorium.store.event_store import EventStore, Statement
from actorium.store.events import Event, RecordedEvent

log = structlog.get_logger("actorium.runtime")

LOG_VIEW = "log"  # the store's own view of the log


class TableProjection:
    """Events to statements, and the life of the tables they go to."""

    def __init__(self, projection: type[Projection], ledger: Ledger, store: EventStore) -> None:
        definition = projection.__definition__
        self.definition = definition
        self.event_classes = frozenset(definition.handlers)
        self.instance = projection()
        self._ledger = ledger
        self._store = store
        self._current = Ledger(current_name(definition.name), store, ledger.writer)
        self._names = names_of(projection, definition.version)
        self._statements: list[Statement] = []
        self._transaction = Transaction(self._statements, self._names.rewrite)
        self._given: dict[type, Any] = {Transaction: self._transaction}

    # --- events ---------------------------------------------------------------------------------------------------

    def apply(self, recorded: RecordedEvent[Event], statements: list[Statement]) -> None:
        """Have the handler record its statements."""
        handler = self.definition.handlers[type(recorded.event)]
        if self._transaction._statements is not statements:
            self._given[Transaction] = self._transaction = Transaction(statements, self._names.rewrite)
        handler.method(self.instance, *arguments(handler, recorded, self._given))

    async def restore(self, position: int) -> None:
        """Nothing is left behind by a handler that failed: its statements were only recorded."""

    # --- tables ---------------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Whether queries see this version."""
        return self._current.position == self.definition.version

    def reader(self) -> Reader:
        """Return what queries read with: the tables of the version that is current."""
        version = self._current.position
        names = self._names if version == self.definition.version else names_of(type(self.instance), version)
        return Reader(self._store.query, names.rewrite)

    async def prepare(self) -> None:
        """Make the tables of this version, unless they are there."""
        await self._current.load()
        await self._ledger.load()
        if self._current.position > self.definition.version:
            raise ConfigurationError(
                f"{self._ledger.name}: the store holds version {self._current.position} of this projection, the code "
                f"is version {self.definition.version}: run the newer code, or give this one a higher version"
            )
        if self._ledger.position == 0:
            await self._make_tables()
        if self._current.position == 0:
            await self._switch()
        self._ledger.ready.set()

    async def caught_up(self) -> None:
        """Let queries see this version, now that it is where the log is."""
        if not self.is_current:
            await self._switch()

    async def reset(self) -> None:
        """Empty the tables and begin anew."""
        await self._make_tables()

    async def _make_tables(self) -> None:
        names = self._names
        try:
            statements: list[Statement] = [*await self._drops(names.prefix)]
            statements += [(names.rewrite(statement), ()) for statement in split_statements(self.definition.schema)]
            letters = self._ledger.letters
            await self._ledger.save(0, statements, settled=[*letters.parked(), *letters.discarded()])
            letters.forget_all()
        except StatementFailed as failure:
            raise ConfigurationError(f"the schema of {self._ledger.name} cannot be made: {failure}") from failure

    async def _switch(self) -> None:
        """Let queries, and people with an SQLite tool, see this version; drop every other."""
        names, version = self._names, self.definition.version
        prefix = projection_prefix(self.definition.name)
        tables = await self._tables("")
        statements: list[Statement] = [
            (f'DROP {kind} IF EXISTS "{name}"', ())
            for kind, name in tables
            if name.startswith(prefix) and not name.startswith(names.prefix)
        ]
        kinds = {name: kind for kind, name in tables}
        for plain in names.plain:
            # A plain name is a convenience for people; the log's own tables and views keep theirs.
            if names.prefix + plain in kinds and kinds.get(plain, "VIEW") == "VIEW" and plain != LOG_VIEW:
                statements.append((f'DROP VIEW IF EXISTS "{plain}"', ()))
                statements.append((f'CREATE VIEW "{plain}" AS SELECT * FROM "{names.prefix}{plain}"', ()))
        await self._current.save(version, statements)
        log.info("projection_switched", projection=self.definition.name, version=version)

    async def _drops(self, prefix: str) -> list[Statement]:
        return [(f'DROP {kind} IF EXISTS "{name}"', ()) for kind, name in await self._tables(prefix)]

    async def _tables(self, prefix: str) -> list[tuple[str, str]]:
        rows = await self._store.query(
            "SELECT upper(type), name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND substr(name, 1, ?) = ? ORDER BY type DESC, name",
            (len(prefix), prefix),
        )
        return [(str(kind), str(name)) for kind, name in rows]


def checkpoint_name(name: str, version: int) -> str:
    """Return the name of the checkpoint of one version of a projection."""
    return f"projection {name} version {version}"


def current_name(name: str) -> str:
    """Return the name of the checkpoint whose position is the version that queries see."""
    return f"projection {name} current version"


def projection_prefix(name: str) -> str:
    """Return what the names of all tables of a projection begin with."""
    return f"{name}__v"


def names_of(projection: type[Projection], version: int) -> TableNames:
    """Return the table names of a version of a projection, as far as its code of today names them."""
    definition = projection.__definition__
    return TableNames(f"{projection_prefix(definition.name)}{version}__", definition.schema)
