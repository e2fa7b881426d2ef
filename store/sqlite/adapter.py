"""`SQLiteStore`: the log in one SQLite file.

One connection reads and writes. It is the only writer of the file; an operating system lock ensures that. (SQLite's
WAL-reset bug also needs two writing connections.) A second connection reads the log, so a stream can be read while a
batch is on its way to the disk. A third reads the runtime's own tables. Queries over the tables of projections have
their own connections (`queries.py`), so a slow one delays neither the runtime nor another query. A `Medium` hides where
the file is and how it is reached: an operating system's file, with one thread per connection, or a simulated disk.

Invariants between any two awaits:
- the lock is held from before the first connection opens until after the last one closes. A store that was opened
  read-only has neither a lock nor a writing connection, whoever else has the file open;
- a commit is acknowledged only if the file that took it is still the one at the path;
- once `_session` is set, the store is open; it is None from the start of `close`;
- `_is_verified` is true only while the open file was found sound at its opening.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from actorium.store.errors import (
    ConfigurationError,
    CorruptStore,
    StatementFailed,
    StoreInUse,
    StoreUnavailable,
)
from actorium.store.event_store import (
    PAGE_BYTES,
    AppendBatch,
    Appended,
    DeadLetter,
    Head,
    Link,
    SaveCheckpoint,
    StreamPage,
    StreamRead,
    require_events,
)
from actorium.store.events import EncodedRecord
from actorium.store.guard import StatementGuard
from actorium.store.log import logger
from actorium.store.names import CommandRecord, StoredEventType
from actorium.store.sql import checkpoints
from actorium.store.sql.own_sql import read_rows
from actorium.store.sqlite.commits import Commits
from actorium.store.sqlite.connection import Connection, Work
from actorium.store.sqlite.file import DatabaseFile, Medium
from actorium.store.sqlite.integrity.damage import deep_damage, failed_opening, is_damage, refuse_damage
from actorium.store.sqlite.integrity.repair import repair_file
from actorium.store.sqlite.journal import Journal
from actorium.store.sqlite.packed import last_position
from actorium.store.sqlite.queries import QueryConnections
from actorium.store.sqlite.reading import LogQueries
from actorium.store.sqlite.schema import migrate, refuse_foreign, refuse_older
from actorium.store.sqlite.settings import SQLiteSettings
from actorium.store.sqlite.streams.index import RUN_EVENTS
from actorium.store.tables.dialect import Dialect, SQLiteDialect
from actorium.store.tables.own_rows import Row, TableRead
from actorium.store.writers.joint_writes import JointWrites

T = TypeVar("T")


class _Writing(NamedTuple):
    """What the writing connection knows of the log, its commits, and the two ways to write to it."""

    journal: Journal
    commits: Commits
    writes: JointWrites


class _Session(NamedTuple):
    """The connections of an open store; `writing` is None if it only reads."""

    writing: _Writing | None
    reader: Connection
    tables: Connection
    reading: LogQueries


class SQLiteLog:
    """The log in an SQLite file on any medium; applications use `SQLiteStore`.

    run_events: how many events the index of streams is behind before they are merged into it.
    """

    def __init__(self, place: Medium, settings: SQLiteSettings, *, run_events: int = RUN_EVENTS) -> None:
        self._run_events = run_events
        self._settings = settings.checked()
        self._file = place
        self._queries = QueryConnections(self._connect_to_query)
        self.dialect: Dialect = SQLiteDialect()
        self._session: _Session | None = None
        self._verifies = self._is_verified = self._is_lenient = False
        self._commits: Commits | None = None
        self._connections: list[Connection] = []
        self._connecting: asyncio.Task[_Session] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self, *, verified: bool = True, read_only: bool = False) -> None:
        """Open the file like `EventStore.open`; raise CorruptStore if it is damaged, unless `verified` is False.

        read_only: take no lock and change nothing, even beside a running process. Raises UnsupportedSchema
            for an older file.
        """
        if self._session is not None:
            raise StoreInUse(f"{self._file.path} is already open: call close() before open()", pid=os.getpid())
        if self._closing is not None:
            await asyncio.shield(self._closing)
            self._closing = None
        self._file.require_directory()
        if read_only:
            self._file.begin_to_read()
        else:
            self._file.acquire()
        self._is_lenient = not verified
        self._verifies = verified and self._settings.verifies(self._file.size_bytes())
        self._connecting = asyncio.create_task(self._connect_to_read() if read_only else self._connect())
        try:
            self._session = await asyncio.shield(self._connecting)
        except BaseException as error:
            await self._give_back()
            if (failure := failed_opening(error, self._file.path, read_only=read_only)) is not None:
                raise failure from error
            raise

    async def close(self) -> None:
        self._session = None
        await self._give_back()

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        require_events(batch)
        return self._require_writing().writes.append(batch)

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, StatementFailed]:
        return await self._require_writing().writes.save(checkpoints)

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        reading = self._require_open().reading
        return await self._read(lambda db: reading.streams(db, reads, max_bytes))

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        reading = self._require_open().reading
        return await self._read(lambda db: reading.log(db, after_position, limit, max_bytes))

    async def head(self) -> Head:
        return await self._read(self._require_open().reading.head)

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        reading = self._require_open().reading
        return await self._read(lambda db: reading.commands(db, command_ids))

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        reading = self._require_open().reading
        return await self._read(lambda db: reading.linked(db, link, id, after_position, limit, PAGE_BYTES))

    async def load_checkpoint(self, name: str) -> int:
        return await self._read(lambda db: checkpoints.load_checkpoint(db, name))

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        return await self._read_tables(lambda db: checkpoints.dead_letters(db, processor))

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        return await self._read_tables(lambda db: read_rows(db, read))

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        def work(db: sqlite3.Connection, guard: StatementGuard) -> list[tuple[Any, ...]]:
            return self._checked(session, db, lambda db: checkpoints.query(db, sql, parameters, guard))

        session = self._require_open()
        return await self._translated(session, self._queries.run(work))

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        reading = self._require_open().reading
        return await self._read(lambda db: reading.event_types(db, counted=counted))

    async def damage(self) -> list[str]:
        """Return the damage in the whole file, with its indexes checked against its tables; this is slow.

        A read through a damaged index can miss rows that are in the table; only this check finds that.
        """
        try:
            return await self._read_tables(deep_damage)
        except CorruptStore as error:
            return [str(error)]

    async def exists(self) -> bool:
        """Return whether a non-empty file exists; nothing is opened or created."""
        return self._file.size_bytes() > 0

    def describe(self) -> str:
        settings = self._settings
        return f"{self._file.engine} {self._file.path} (WAL, synchronous={settings.synchronous}: {settings.durability})"

    def _require_open(self) -> _Session:
        if self._session is None:
            raise StoreUnavailable(f"{self._file.path} is closed: open() the store first")
        return self._session

    def _require_writing(self) -> _Writing:
        writing = self._require_open().writing
        if writing is None:
            raise ConfigurationError(f"{self._file.path} was opened read-only, so it cannot be written to")
        return writing

    async def _read(self, work: Work[T]) -> T:
        return await self._run(self._require_open().reader, work)

    async def _read_tables(self, work: Work[T]) -> T:
        return await self._run(self._require_open().tables, work)

    async def _run(self, connection: Connection, work: Work[T]) -> T:
        session = self._require_open()
        return await self._translated(session, connection.run(lambda db: self._checked(session, db, work)))

    def _checked(self, session: _Session, db: sqlite3.Connection, work: Work[T]) -> T:
        self._file.check()
        try:
            return work(db)
        finally:
            if session.writing is None:
                self._file.check()  # data read from a file that changed meanwhile is invalid

    async def _translated(self, session: _Session, running: Awaitable[T]) -> T:
        try:
            return await running
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, ValueError) and self._session is session:
                raise
            failure = CorruptStore if is_damage(error) else StoreUnavailable
            raise failure(f"{self._file.path} cannot be read: {error}") from error

    async def _connect(self) -> _Session:
        writer = await self._file.connect_to_write(busy_timeout_s=self._settings.busy_timeout_s)
        self._connections.append(writer)
        await writer.run(self._set_up)
        journal = await writer.run(lambda db: Journal(db, run_events=self._run_events))
        commits = Commits(self._file, self._settings, writer, journal, self._require_open)
        session = await self._connect_to_read(_Writing(journal, commits, JointWrites(commits.write)))
        recent = journal.recent
        await session.reader.run(lambda db: session.reading.verify(db, recent.begin, recent.end))
        self._commits = commits
        position = await writer.run(last_position)
        self._file.remember(position if self._settings.flushes else None)
        self._is_verified = self._verifies
        return session

    async def _connect_to_read(self, writing: _Writing | None = None) -> _Session:
        connect, timeout_s = self._file.connect_to_read, self._settings.busy_timeout_s
        reader = await connect(busy_timeout_s=timeout_s)
        self._connections.append(reader)
        if writing is None:
            await reader.run(lambda db: self._set_up(db, read_only=True))
        writes = None if writing is None else (writing.journal.recent, writing.journal.heads)
        reading = await reader.run(lambda db: LogQueries(db, writes, is_lenient=self._is_lenient))
        tables = await connect(busy_timeout_s=timeout_s)
        self._connections.append(tables)
        return _Session(writing, reader, tables, reading)

    async def _connect_to_query(self) -> Connection:
        session = self._session
        connection = await self._file.connect_to_read(busy_timeout_s=self._settings.busy_timeout_s)
        if session is None or self._session is not session:
            await connection.close()
            self._require_open()
        self._connections.append(connection)
        return connection

    def _set_up(self, db: sqlite3.Connection, *, read_only: bool = False) -> None:
        flipped = self._file.flipped_pages() if self._verifies else ()
        refuse_foreign(db, self._file.path)  # before the settings, which are written into the file
        if read_only:
            refuse_older(db, self._file.path)
        else:
            self._settings.apply(db)
            migrate(db, self._file.path)
        if flipped is None or flipped:
            refuse_damage(db, self._file.path, flipped or ())
        if (missing := self._file.missing(lambda: last_position(db))) is not None:
            raise CorruptStore(missing)

    async def _give_back(self) -> None:
        """Close everything in a task of its own: a cancelled caller must not leave a thread behind."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_all())
        await asyncio.shield(self._closing)

    async def _close_all(self) -> None:
        try:
            if self._connecting is not None:
                # From a cancelled opening: a connection that was still opening could not be closed.
                await asyncio.gather(self._connecting, return_exceptions=True)
                self._connecting = None
            queries, self._queries = self._queries, QueryConnections(self._connect_to_query)
            queries.interrupt_all()
            # Readers close first, so that the writer closes last and removes the WAL.
            while self._connections:
                connection = self._connections.pop()
                if not self._connections:
                    await self._complete(connection)
                    await self._seal(connection)
                try:
                    await connection.close()
                except sqlite3.Error as error:
                    logger(__name__).warning("store.close_failed", path=self._file.path, error=str(error))
        except asyncio.CancelledError:
            raise  # a thread still uses the file: the lock stays until the process ends
        except BaseException:
            self._file.release()
            raise
        self._file.release()

    async def _complete(self, writer: Connection) -> None:
        commits, self._commits = self._commits, None
        if commits is not None:
            try:
                await writer.run(commits.close)
            except (sqlite3.Error, CorruptStore, StoreUnavailable) as error:
                logger(__name__).warning("store.index_not_completed", path=self._file.path, error=str(error))

    async def _seal(self, writer: Connection) -> None:
        """Seal the file only if it was sound when it was opened: damage must not be sealed in."""
        is_verified, self._is_verified = self._is_verified, False
        if is_verified and self._settings.verifies(self._file.size_bytes()):
            try:
                await writer.run(self._file.seal)
            except (sqlite3.Error, OSError, StoreUnavailable) as error:
                logger(__name__).warning("store.seal_failed", path=self._file.path, error=str(error))


class SQLiteStore(SQLiteLog):
    """The log in the SQLite file at `path`, in WAL mode; the first opening creates the file.

    path: the path of the file.
    synchronous: `"FULL"` (an acknowledged commit survives a power cut), `"EXTRA"`, `"NORMAL"` (it survives a process
        crash but not a power cut) or `"OFF"` (a power cut may destroy the file).
    cache_mb: the page cache of the writing connection, in MB.
    wal_autocheckpoint_pages: the number of 4 KB pages in the write-ahead log that starts a checkpoint. The commit that
        reaches it waits for the checkpoint, with all commits behind it: 4 ms with the default, 10 ms with 10,000 pages.
        More pages mean less disk work if commits are spread over very many streams.
    busy_timeout_s: how long, in seconds, a commit waits for another program's lock before it raises StoreUnavailable.
    verify_mb: the largest file, in MB, that is verified when it is opened, to find bits that flipped while it was
        closed: 0.1 s per 200 MB after a clean close, 3 s after a crash. 0 turns this off.

    Raises:
        ConfigurationError: an option is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "FULL",
        cache_mb: int = 64,
        wal_autocheckpoint_pages: int = 2_000,
        busy_timeout_s: float = 5.0,
        verify_mb: int = 64,
    ) -> None:
        settings = SQLiteSettings(synchronous, cache_mb, wal_autocheckpoint_pages, busy_timeout_s, verify_mb)
        super().__init__(DatabaseFile(path), settings)
        self.path = self._file.path

    async def repair(self) -> list[str]:
        return repair_file(self._file.path)
