"""Connections to one SQLite file, each with its own thread, on which a whole piece of work is one hop.

A transaction of five statements that crosses to the thread once per statement pays five times. So a connection runs a
function there: any number of statements for one hop.

The writing connection is a plain thread with a queue. A thread needs the interpreter lock to start its work, but the
event loop holds the lock and continues with other callbacks. So work that others wait for is handed over together with
the lock (`promptly`): the loop pauses until the work has started, and continues while SQLite and the disk are busy.
aiosqlite cannot do that; docs/decisions/0028 has the figures.

Read-only connections are aiosqlite's. It takes statements, not functions, so we subclass its sqlite3 connection with an
`executemany` that takes a function to run.

Invariants: only its own thread touches a sqlite3 connection. Work that was handed over runs to its end even if its
caller is cancelled, so no transaction is left half-done. The threads are daemons: a thread that is stuck in a system
call cannot be stopped, and must not keep the process alive.
"""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from collections.abc import Awaitable, Callable, Iterable
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import aiosqlite

from actorium.store.writers.prompt_future import PromptFuture

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

_RUN = "-- run the work given as the parameter"

# Every size of a multi-row statement (see rows.py) stays prepared, as do the few other statements.
_STATEMENTS_MAX = 160
# A thread starts within half of this if a processor is free; if none is, the loop should keep its own.
_BEGINS_WITHIN_S = 0.000_2


class Connection(Protocol):
    """A connection to one file, opened by `connect`; the caller must `close` it, or its thread remains."""

    def run(self, work: Work[T], *, promptly: bool = False) -> Awaitable[T]:
        """Run `work` on the connection's thread; return its result or raise its exception.

        promptly: hold the event loop until the work has started, for work that many callers wait for. A read-only
            connection ignores it.
        """
        ...

    def interrupt(self) -> None:
        """Interrupt the running statement, if any. A writing connection ignores this."""
        ...

    async def close(self) -> None:
        """Finish the work handed over so far, close the connection and end its thread."""
        ...


async def connect(path: str, *, read_only: bool, busy_timeout_s: float, at_rest: bool = False) -> Connection:
    """Open the file at an absolute path on a new thread; raise sqlite3.Error if it cannot be opened.

    at_rest: nobody writes to the file meanwhile, so it is read without locks, and no file is created beside it.
    """
    mode = "ro" if read_only else "rwc"
    address = f"file:{quote(path)}?mode={mode}{'&immutable=1' if at_rest else ''}"
    opens = _connect_to_read if read_only else _connect_to_write
    return await opens(
        address, uri=True, isolation_level=None, timeout=busy_timeout_s, cached_statements=_STATEMENTS_MAX
    )


# --- The connection that writes --------------------------------------------------------------------------------------


class _Job(NamedTuple):
    """Work for the thread, and where its result goes. A waiter for `begun` has locked it. No work ends the thread."""

    work: Work[Any] | None
    future: asyncio.Future[Any] | None
    begun: Lock | None


_Jobs = SimpleQueue[_Job]


class _WritingConnection:
    """The queue of a thread. It refers to nothing else, so an unclosed connection can be collected."""

    __slots__ = ("_is_closed", "_jobs")

    def __init__(self) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._is_closed = False

    async def open(self, address: str, options: dict[str, Any]) -> None:
        """Start the thread and open the file on it; if that fails, the thread ends."""
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

    def run(self, work: Work[T], *, promptly: bool = False) -> asyncio.Future[T]:
        if self._is_closed:
            raise ValueError("Connection closed")
        future: asyncio.Future[T] = PromptFuture(asyncio.get_running_loop())
        if promptly:
            begun = Lock()
            begun.acquire()
            self._jobs.put(_Job(work, future, begun))
            begun.acquire(timeout=_BEGINS_WITHIN_S)
        else:
            self._jobs.put(_Job(work, future, None))
        return future

    def interrupt(self) -> None:
        pass  # other callers wait for writes

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
    """The body of the thread: open the file, do the jobs one by one, close it."""
    try:
        db = sqlite3.connect(address, **options)
    except BaseException as error:
        _tell(opened, None, error)
        return
    _tell(opened, None, None)
    while (job := jobs.get()).work is not None:
        _do(job, job.work, db)
        del job  # it may refer to large objects, and the next job may come much later
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
    except RuntimeError:  # the loop is closed, and its waiters are gone
        pass


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # the waiter was cancelled
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


# --- A copy of a database in memory ----------------------------------------------------------------------------------


class CopyConnection:
    """A copy of a database in memory, for one piece of work, on its own thread.

    content: the result of `sqlite3.Connection.serialize`.
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
        pass  # it closes itself after its work


# --- Connections that only read --------------------------------------------------------------------------------------


class _Errand(Generic[T]):
    """A function sent to aiosqlite's thread, and its result."""

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

    # aiosqlite's thread is a daemon if its creating thread is one.
    maker = Thread(target=make, daemon=True)
    maker.start()
    maker.join()
    try:
        return _ReadingConnection(await databases[0], opened[0])
    except sqlite3.Error:
        threads[0].join()  # the thread still calls into the loop, which may close as soon as this returns
        raise
