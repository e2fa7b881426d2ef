"""A simulated disk as the place of a log: every operation completes at once, on the caller's thread."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any, TypeVar, cast

from actorium.simulation.disk.connection import ENGINE, DiskConnection, DiskDatabase
from actorium.simulation.disk.disk import PowerCut, SimulatedDisk
from actorium.store.errors import ConfigurationError
from actorium.store.sqlite.connection import Ended, Work

T = TypeVar("T")


class InlineConnection:
    """Runs work on a database inside the call to `run`, without a thread."""

    __slots__ = ("_database", "_db", "_reads_only")

    def __init__(self, database: DiskDatabase, *, read_only: bool) -> None:
        self._database = database
        self._db = DiskConnection(database)
        self._reads_only = read_only

    idle = None  # the event loop's thread is also the only one of the connection

    def run_then(self, work: Work[Any], ended: Ended, *, promptly: bool = False) -> None:
        asyncio.get_running_loop().call_soon(self._do, work, ended)

    def _do(self, work: Work[Any], ended: Ended) -> None:
        try:
            result = work(cast(sqlite3.Connection, self._db))  # it implements everything that the store uses
        except BaseException as error:
            ended(None, error)
        else:
            ended(result, None)

    async def run(self, work: Work[T]) -> T:
        db = self._db
        if not self._reads_only:
            return work(cast(sqlite3.Connection, db))
        db.execute("PRAGMA query_only = 1")
        try:
            return work(cast(sqlite3.Connection, db))
        finally:
            db.execute("PRAGMA query_only = 0")

    def interrupt(self) -> None:
        pass  # any work has ended before other code runs

    async def close(self) -> None:
        if not self._reads_only:
            self._database.close()


class DiskPlace:
    """A file on a simulated disk; only its store can touch it, so there is nothing to watch."""

    engine = f"simulated disk, {ENGINE}"

    def __init__(self, disk: SimulatedDisk, name: str) -> None:
        if not name or "/" in name:
            raise ConfigurationError(
                f"{name!r} is not a file name on a simulated disk, which has a single directory: use a plain name"
            )
        self.path = name
        self._disk = disk
        self._database: DiskDatabase | None = None

    def require_directory(self) -> None:
        if self._disk.is_off:
            raise PowerCut

    def acquire(self) -> None:
        self._disk.lock(self.path)

    def begin_to_read(self) -> None:
        raise ConfigurationError(
            f"{self.path} is on a simulated disk, which cannot be opened read-only: use the store that writes it"
        )

    def release(self) -> None:
        self._database = None
        self._disk.unlock(self.path)

    def size_bytes(self) -> int:
        file = self._disk.file(self.path)
        return 0 if file is None else len(file.content)

    def flipped_pages(self) -> None:
        return None

    def seal(self, db: object) -> None:
        pass

    async def connect_to_read(self, *, busy_timeout_s: float) -> InlineConnection:
        return self._connect(read_only=True)

    async def connect_to_write(self, *, busy_timeout_s: float) -> InlineConnection:
        return self._connect(read_only=False)

    def _connect(self, *, read_only: bool) -> InlineConnection:
        if self._database is None:
            self._database = DiskDatabase(self._disk, self.path)
        return InlineConnection(self._database, read_only=read_only)

    def remember(self, position: int | None) -> None:
        pass

    def missing(self, end: object) -> None:
        return None

    def acknowledge(self, position: int) -> None:
        pass

    def check(self) -> None:
        pass

    def make_room(self, db: object) -> None:
        pass
