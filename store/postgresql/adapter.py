"""`PostgreSQLStore`: the log in a schema of a PostgreSQL database.

One connection appends. Another saves checkpoints with what belongs to them, so that a slow projection does not delay
commands. A few read, a few others answer queries, and one holds the lease that keeps other runtimes away.

Invariants between any two awaits:
- at most one append is under way. When its connection breaks, the store finds out what became of it before it writes
  anything else; callers see time pass, and an unknown outcome only after `patience_s`;
- `_session` is set while the store is open, and None from the start of `close`;
- a store that lost the log to another runtime writes nothing and answers nothing until it is opened again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from actorium.store.errors import ActoriumError, ConfigurationError, Fenced, StoreInUse, StoreUnavailable
from actorium.store.event_store import (
    PAGE_BYTES,
    AppendBatch,
    Appended,
    DeadLetter,
    Head,
    Link,
    SaveCheckpoint,
    SaveFailure,
    Snapshot,
    StreamPage,
    StreamRead,
    require_events,
)
from actorium.store.events import EncodedRecord
from actorium.store.log import logger
from actorium.store.names import CommandRecord, StoredEventType
from actorium.store.postgresql import checkpoints, own_tables, reading, statements
from actorium.store.postgresql.appender import Appender, find_commands
from actorium.store.postgresql.connections.connector import Connector
from actorium.store.postgresql.connections.failures import unavailable
from actorium.store.postgresql.connections.options import PostgreSQLOptions, default_name
from actorium.store.postgresql.connections.patience import until_known
from actorium.store.postgresql.connections.prompt_call import prompt_call
from actorium.store.postgresql.connections.sessions import Connection, Session, SessionPool, Work
from actorium.store.postgresql.damage import damage, repair
from actorium.store.postgresql.dialect import PostgreSQLDialect
from actorium.store.postgresql.growth import Growth
from actorium.store.postgresql.lease import Lease
from actorium.store.postgresql.ownership import Ownership
from actorium.store.postgresql.schema import found_version, migrate, refuse_other
from actorium.store.postgresql.statement_batches import StatementBatches
from actorium.store.raised import error_text
from actorium.store.tables.dialect import Dialect
from actorium.store.tables.own_rows import Row, TableRead

T = TypeVar("T")
Enter = Callable[[Session], Awaitable[Ownership]]

log = logger("actorium.store")


class _Opened:
    """The connections of an open store; `lease` is None if it only reads."""

    def __init__(self, connector: Connector, options: PostgreSQLOptions, *, read_only: bool) -> None:
        self.appender = Session(connector.for_role("append"))
        self.tables = Session(connector.for_role("tables"))
        self.batches = StatementBatches()
        self.readers = SessionPool(connector.for_role("read"), options.read_connections)
        self.queries = SessionPool(connector.for_role("query"), options.query_connections)
        self.growth = Growth(Session(connector.for_role("watch")), schema=options.schema)
        self.lease_session = Session(connector.for_role("lease"))
        self.lease: Lease | None = None
        if not read_only:
            self.lease = Lease(self.lease_session, name=options.name, lease_s=options.lease_s, place=connector.place)
        silence_s = options.silence_s("append")
        assert silence_s is not None, "every connection but that of the upkeep has a limit"
        self.appending = Appender(silence_s=silence_s)

    async def close(self) -> None:
        """Close everything, the lease last: what is under way needs it."""
        sessions = (self.appender, self.tables, self.readers, self.queries, self.growth)
        await asyncio.gather(*(session.close() for session in sessions))
        if self.lease is not None:
            await self.lease.give_back()
        await self.lease_session.close()
        self.appending.close()


class PostgreSQLStore:
    """The log in a PostgreSQL database, 14 or newer; requires the extra `postgresql`.

    uri: a connection URI such as `postgresql://user@host1,host2/database`. Of several hosts, the one that takes writes
        is used.
    schema: the schema of the database that holds the log; it is created if necessary.
    standby: "refuse" raises StoreInUse if another runtime holds the log; "wait" waits in `open` until it is gone.
    name: how other runtimes name this one; the host and the process id if empty.
    application_name: the start of each connection's name in `pg_stat_activity`.
    lease_s: how long a runtime that shows no sign of life keeps the log, in seconds.
    patience_s: how long a commit is tried while the server is away, in seconds.
    connect_timeout_s, statement_timeout_s, query_timeout_s: how long one connection attempt, one statement of a commit,
        and one query may take, in seconds.
    read_connections, query_connections: the number of connections for reads and for queries; six at most are open
        otherwise.
    synchronous_commit: the server's setting for commits of the log.
    """

    def __init__(
        self,
        uri: str,
        *,
        schema: str = "actorium",
        standby: str = "refuse",
        name: str = "",
        application_name: str = "actorium",
        lease_s: float = 3.0,
        patience_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        statement_timeout_s: float = 30.0,
        query_timeout_s: float = 30.0,
        read_connections: int = 2,
        query_connections: int = 8,
        synchronous_commit: str = "on",
    ) -> None:
        self._options = PostgreSQLOptions(
            schema,
            standby,
            name or default_name(),
            application_name,
            lease_s,
            patience_s,
            connect_timeout_s,
            statement_timeout_s,
            query_timeout_s,
            read_connections,
            query_connections,
            synchronous_commit,
        ).checked()
        self._uri = uri
        self._connector = Connector(uri, self._options)
        self.dialect: Dialect = PostgreSQLDialect()
        self._session: _Opened | None = None
        self._about = f"postgresql {self._connector.place}"
        self._is_opening = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def open(self, *, verified: bool = True, read_only: bool = False) -> None:
        """Open the log like `EventStore.open`.

        verified: has no effect here; the server checks its own files.
        read_only: take no lease and change nothing, even beside a running runtime. Raises UnsupportedSchema for an
            older log.
        """
        await self._open_with(None, read_only=read_only)

    async def _open_with(self, enter: Enter | None, *, read_only: bool = False) -> None:
        """Open the log: alone, or as a node that enters with this function."""
        if self._session is not None or self._is_opening:
            raise StoreInUse(f"{self._connector.place} is already open: call close() before open()", pid=os.getpid())
        self._connector = Connector(self._uri, self._options)
        session = _Opened(self._connector, self._options, read_only=read_only)
        self._is_opening = True
        try:
            # Who stands by also waits while the server is away: it is needed most when that comes back.
            waits = self._options.standby == "wait" and not read_only
            patience_s = self._options.patience_s if waits else 0.0
            await until_known(
                lambda: session.lease_session.run(lambda c: self._set_up(c, read_only=read_only)),
                goes_on=lambda: self._is_opening,
                patience_s=patience_s,
                what=f"cannot open {self._connector.place}",
            )
            if session.lease is not None and enter is not None:
                sent_s = asyncio.get_running_loop().time()
                session.lease.entered(await enter(session.lease_session), sent_s)
            elif session.lease is not None:
                await session.lease.take(waits=waits, patience_s=patience_s)
        except BaseException as error:
            await session.close()
            if isinstance(error, Exception) and not isinstance(error, ActoriumError):
                raise unavailable(error, f"cannot open {self._connector.place}") from error
            raise
        finally:
            self._is_opening = False
        self._session = session

    async def _set_up(self, connection: Connection, *, read_only: bool) -> None:
        self._about = await self._connector.examine(connection)
        if read_only:
            await refuse_other(connection, self._options.schema)
        else:
            await migrate(connection, self._options.schema)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def exists(self) -> bool:
        """Return whether the database has a log in this schema; nothing is opened or created."""
        return await self._alone(lambda c: found_version(c, self._options.schema)) > 0

    async def damage(self) -> list[str]:
        """Return the damage in the whole log apart from its events; this reads everything."""
        self._require_open()
        return await self._alone(damage)

    async def repair(self) -> list[str]:
        """Rebuild the indexes, and what follows from the events; return the remaining damage.

        No runtime may have the log open. Raises CorruptStore, and changes nothing, if the last events are missing.
        """
        await self.open()
        try:
            return await self._alone(lambda c: repair(c, self._options.schema))
        finally:
            await self.close()

    async def _alone(self, work: Work[T]) -> T:
        """Do a piece of work of any length on a connection of its own."""
        session = Session(self._connector.for_role("upkeep"))
        try:
            return await session.run(work)
        except ActoriumError:
            raise
        except Exception as error:
            raise unavailable(error, f"{self._connector.place} cannot be read") from error
        finally:
            await session.close()

    async def until_lost(self) -> Fenced:
        """Return the reason once another runtime has taken over the log; wait if none has."""
        try:
            lease = self._require_lease()
        except Fenced as reason:
            return reason
        return await lease.until_lost()

    @property
    def holds_lease(self) -> bool:
        session = self._session
        return session is not None and session.lease is not None and session.lease.is_held

    async def confirm_lease(self) -> None:
        """Return once the lease is held; raise Fenced if the log was taken over."""
        await self._require_lease().confirm()

    # --- writing --------------------------------------------------------------------------------------------------

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        return prompt_call(self._append(batch))

    async def _append(self, batch: AppendBatch) -> Appended:
        session, lease = self._require_writable()
        require_events(batch)
        appending = session.appending
        attempts = 0

        async def attempt(connection: Connection) -> Appended:
            nonlocal attempts
            attempts += 1
            return await self._append_once(session, lease, connection, batch, is_repeated=attempts > 1)

        appended = await self._until_known(
            session, lease, lambda: session.appender.run_to_end(attempt), lambda: appending.is_in_doubt
        )
        if self._connector.acknowledge(batch, appended):
            session.growth.grown_to(Head(self._connector.acknowledged, appended.recorded_us))
        if batch.snapshots:
            await self._save_snapshots(session, batch.snapshots)
        return appended

    async def _append_once(
        self, session: _Opened, lease: Lease, connection: Connection, batch: AppendBatch, *, is_repeated: bool
    ) -> Appended:
        appending, owned = session.appending, lease.require()
        if appending.is_in_doubt:
            # The statement may still be on its way to the server: under another number it can do no harm.
            owned = await lease.replace(connection)
            known = await appending.found_out(connection)
            if known is not None and is_repeated:
                return known
        if not batch.appends:
            end = await reading.head(connection)
            return Appended([], max(batch.recorded_us, end.recorded_us))
        return await appending.append(connection, batch, owned.writer)

    async def _save_snapshots(self, session: _Opened, snapshots: Sequence[Snapshot]) -> None:
        try:
            await session.appender.run_to_end(lambda c: checkpoints.save_snapshots(c, snapshots))
        except Exception as error:  # the events are written, and a snapshot is only a shortcut
            log.warning("store.snapshots_not_saved", place=self._connector.place, error=error_text(error))

    async def save(self, checkpoints_: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        session, lease = self._require_writable()
        saving = checkpoints.Saving(checkpoints_, lease.require().node, session.batches)
        # A caller that is cancelled leaves no attempt half done: a session finishes what it began.
        return await self._until_known(
            session, lease, lambda: session.tables.run(saving.attempt), lambda: saving.is_in_doubt
        )

    async def _until_known(
        self, session: _Opened, lease: Lease, attempt: Callable[[], Awaitable[T]], is_in_doubt: Callable[[], bool]
    ) -> T:
        try:
            return await until_known(
                attempt,
                is_in_doubt=is_in_doubt,
                goes_on=lambda: self._goes_on(session),
                patience_s=self._options.patience_s,
                what=f"{self._connector.place} did not accept a commit",
            )
        except Fenced as reason:
            lease.lose(reason)
            raise

    def _goes_on(self, session: _Opened) -> bool:
        """Whether this opening of the store still serves."""
        return self._session is session and (session.lease is None or session.lease.lost is None)

    # --- reading --------------------------------------------------------------------------------------------------

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        session = self._require_open()
        if not reads:
            return []
        heads = session.appending.heads
        return await self._read(lambda c: reading.read_streams(c, reads, max_bytes, heads))

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        return await self._read(lambda c: reading.read_log(c, after_position, limit, max_bytes))

    async def head(self) -> Head:
        return await self._read(reading.head)

    async def watch(self, position: int, poll_s: float) -> Head:
        """Return the end of the log once it is beyond a position; look every `poll_s` seconds, and at each hint."""
        while True:
            growth = self._require_open().growth
            if growth.must_look:
                await self._read(growth.look, growth.session)
            if growth.end.position > position:
                return growth.end
            await growth.heard(poll_s)

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        return await self._read(lambda c: find_commands(c, command_ids))

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        return await self._read(lambda c: reading.read_linked(c, link, id, after_position, limit, PAGE_BYTES))

    async def load_checkpoint(self, name: str) -> int:
        return await self._read(lambda c: checkpoints.load_checkpoint(c, name))

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        return await self._read(lambda c: checkpoints.dead_letters(c, processor))

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        return await self._read(lambda c: own_tables.read_rows(c, read))

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        queries = self._require_open().queries
        return await self._read(lambda c: statements.query(c, sql, parameters), queries)

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        return await self._read(lambda c: reading.event_types(c, counted=counted))

    def describe(self) -> str:
        return self._about

    async def _read(self, work: Work[T], connections: Session | SessionPool | None = None) -> T:
        session = self._require_open()
        used = connections or session.readers
        return await until_known(
            lambda: used.run(work, cancellable=used is session.queries),
            goes_on=lambda: self._goes_on(session),
            patience_s=self._options.patience_s,
            what=f"{self._connector.place} cannot be read",
        )

    def _require_open(self) -> _Opened:
        session = self._session
        if session is None:
            raise StoreUnavailable(f"{self._connector.place} is closed: open() the store first")
        if session.lease is not None:
            session.lease.require()
        return session

    def _require_writable(self) -> tuple[_Opened, Lease]:
        session = self._require_open()
        if session.lease is None:
            raise ConfigurationError(f"{self._connector.place} was opened read-only, so it cannot be written to")
        return session, session.lease

    def _require_lease(self) -> Lease:
        return self._require_writable()[1]
