"""Connections to one SQLite file, each with a thread of its own, on which a whole piece of work is one hop.

A transaction of five statements that crosses to the thread once per statement pays five times. So a connection runs a
function there: any number of statements for one hop.

The connection that writes is a plain thread with a queue. A thread that was handed work needs the interpreter lock to
begin it, and the event loop, which has it, goes on with whatever else is ready. So work that others wait for is handed
over together with the lock (`promptly`): the loop stands still until the work has begun, and does the rest while SQLite
and the disk are busy. aiosqlite has no way to do that; docs/decisions/0028 has the figures.

Connections that only read are aiosqlite's. It takes statements, not functions, so the class of its sqlite3 connection
is ours, and `executemany` of that takes a function to run.

Invariants: the sqlite3 connection is touched on its own thread only; work that was handed over runs to its end even
when the caller that awaits it is cancelled, so nobody ever leaves a transaction half-way. The threads are daemons: one
that is stuck in a system call cannot be ended, and must not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import aiosqlite

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

_RUN = "-- run the work given as the parameter"

# Every size of a multi-row statement (see rows.py) stays prepared, and the few others beside them.
_STATEMENTS_MAX = 160
# A thread begins within half of this, unless the machine has no processor for it: then the loop had better use its own.
_BEGINS_WITHIN_S = 0.000_2


class Connection(Protocol):
    """A connection to one file, opened by `connect`; whoever opened it must `close` it, or the thread stays."""

    async def run(self, work: Work[T], *, promptly: bool = False) -> T:
        """Run `work` on the connection's thread and return what it returns; raise what it raises.

        promptly: hold the event loop until the work has begun; for work that many wait for. A connection that only
            reads does not hold it.
        """
        ...

    def interrupt(self) -> None:
        """Make the statement that runs now fail; nothing happens where none runs. A connection that writes runs on."""
        ...

    async def close(self) -> None:
        """Finish the work handed over so far, close the connection and end its thread."""
        ...


async def connect(path: str, *, read_only: bool, busy_timeout_s: float, at_rest: bool = False) -> Connection:
    """Open the file at an absolute path, on a new thread; sqlite3.Error when it cannot be opened.

    at_rest: nobody writes to the file meanwhile, so it is read without locks, and with no file made beside it.
    """
    mode = "ro" if read_only else "rwc"
    address = f"file:{quote(path)}?mode={mode}{'&immutable=1' if at_rest else ''}"
    opens = _connect_to_read if read_only else _connect_to_write
    return await opens(
        address, uri=True, isolation_level=None, timeout=busy_timeout_s, cached_statements=_STATEMENTS_MAX
    )


# --- The connection that writes --------------------------------------------------------------------------------------


class _Job(NamedTuple):
    """Work for the thread, and where its result goes; who waits for `begun` has locked it. No work: end."""

    work: Work[Any] | None
    future: asyncio.Future[Any] | None
    begun: Lock | None


_Jobs = SimpleQueue[_Job]


class _WritingConnection:
    """The queue of a thread, which refers to nothing else, so that an unclosed connection can be collected."""

    __slots__ = ("_is_closed", "_jobs")

    def __init__(self) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._is_closed = False

    async def open(self, address: str, options: dict[str, Any]) -> None:
        """Start the thread and open the file on it; nothing is left of the thread when that fails."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        thread = Thread(
            target=_serve, args=(self._jobs, opened, address, options), name="actorium-sqlite-writer", daemon=True
        )
        thread.start()
        try:
            await opened
        except asyncio.CancelledError:
            self._end(None)
            raise
        except BaseException:
            self._is_closed = True
            thread.join()
            raise

    async def run(self, work: Work[T], *, promptly: bool = False) -> T:
        if self._is_closed:
            raise ValueError("Connection closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if promptly:
            begun = Lock()
            begun.acquire()
            self._jobs.put(_Job(work, future, begun))
            begun.acquire(timeout=_BEGINS_WITHIN_S)
        else:
            self._jobs.put(_Job(work, future, None))
        return await future

    def interrupt(self) -> None:
        pass  # others wait for what is written

    async def close(self) -> None:
        if not self._is_closed:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._end(ended)
            await ended

    def _end(self, ended: asyncio.Future[None] | None) -> None:
        self._is_closed = True
        self._jobs.put(_Job(None, ended, None))

    def __del__(self) -> None:
        if not self._is_closed:
            self._end(None)
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=1)


async def _connect_to_write(address: str, **options: Any) -> Connection:
    connection = _WritingConnection()
    await connection.open(address, options)
    return connection


def _serve(jobs: _Jobs, opened: asyncio.Future[None], address: str, options: dict[str, Any]) -> None:
    """Open the file, do the jobs one by one, close it: the life of the thread."""
    try:
        db = sqlite3.connect(address, **options)
    except BaseException as error:
        _tell(opened, None, error)
        return
    _tell(opened, None, None)
    while (job := jobs.get()).work is not None:
        _do(job, job.work, db)
        del job  # what it refers to may be large, and the next one may be long in coming
    try:
        db.close()
    except BaseException as error:
        _tell(job.future, None, error)
    else:
        _tell(job.future, None, None)


def _do(job: _Job, work: Work[Any], db: sqlite3.Connection) -> None:
    if job.begun is not None:
        job.begun.release()
    try:
        result = work(db)
    except BaseException as error:
        _tell(job.future, None, error)
    else:
        _tell(job.future, result, None)


def _tell(future: asyncio.Future[Any] | None, result: Any, error: BaseException | None) -> None:
    if future is None:
        return
    try:
        future.get_loop().call_soon_threadsafe(_resolve, future, result, error)
    except RuntimeError:  # the loop is closed, and whoever waited is gone with it
        pass


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # who awaited it was cancelled
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


# --- A copy of a database in memory ----------------------------------------------------------------------------------


class CopyConnection:
    """A database in memory as it was when it was copied, for one piece of work, on a thread of its own.

    content: as `sqlite3.Connection.serialize` returns it.
    """

    __slots__ = ("_content", "_db", "_lock")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._lock = Lock()
        self._db: sqlite3.Connection | None = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    async def run(self, work: Work[T], *, promptly: bool = False) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        Thread(target=self._do, args=(work, future), name="actorium-query", daemon=True).start()
        return await future

    def _do(self, work: Work[Any], future: asyncio.Future[Any]) -> None:
        db = self._db
        assert db is not None, "a copy does one piece of work"
        try:
            db.deserialize(self._content)
            db.execute("PRAGMA query_only = 1")
            result = work(db)
        except BaseException as error:
            _tell(future, None, error)
        else:
            _tell(future, result, None)
        finally:
            with self._lock:
                self._db = None
            db.close()

    def interrupt(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.interrupt()

    async def close(self) -> None:
        pass  # it closes itself when its work is done


# --- Connections that only read --------------------------------------------------------------------------------------


class _Errand(Generic[T]):
    """A function on its way to aiosqlite's thread, and what it returned."""

    __slots__ = ("result", "work")

    result: T

    def __init__(self, work: Work[T]) -> None:
        self.work = work


class _ErrandConnection(sqlite3.Connection):
    """A connection whose `executemany` runs an errand."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        if sql is not _RUN:
            return super().executemany(sql, parameters)
        for (errand,) in parameters:
            errand.result = errand.work(self)
        return self.cursor()


class _ReadingConnection:
    __slots__ = ("_database", "_db")

    def __init__(self, database: aiosqlite.Connection, db: sqlite3.Connection) -> None:
        self._database = database
        self._db = db

    async def run(self, work: Work[T], *, promptly: bool = False) -> T:
        errand = _Errand(work)
        await self._database.executemany(_RUN, ((errand,),))
        return errand.result

    def interrupt(self) -> None:
        self._db.interrupt()  # the one method that may be called from another thread

    async def close(self) -> None:
        await self._database.close()


async def _connect_to_read(address: str, **options: Any) -> Connection:
    threads: list[Thread] = []
    opened: list[sqlite3.Connection] = []

    def open_database(*arguments: Any, **options: Any) -> sqlite3.Connection:
        threads.append(current_thread())
        opened.append(_ErrandConnection(*arguments, **options))
        return opened[0]

    databases: list[aiosqlite.Connection] = []

    def make() -> None:
        databases.append(aiosqlite.connect(address, factory=open_database, **options))

    # aiosqlite's thread is a daemon if the thread that makes it is one.
    maker = Thread(target=make, daemon=True)
    maker.start()
    maker.join()
    try:
        return _ReadingConnection(await databases[0], opened[0])
    except sqlite3.Error:
        threads[0].join()  # it has a last word for the loop, which may be closed as soon as this is told
        raise
