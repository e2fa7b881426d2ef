"""Connections to one SQLite file, each with its own thread, on which a whole piece of work is one hop.

A transaction of five statements that crosses to the thread once per statement pays five times. So a connection runs a
function there: any number of statements for one hop.

The writing connection is a plain thread with a queue. A thread needs the interpreter lock to start its work, but the
event loop holds the lock and continues with other callbacks. So work that others wait for is handed over together with
the lock (`promptly`): the loop pauses until the work has started, and continues while SQLite and the disk are busy.
aiosqlite cannot do that; docs/decisions/0028 has the figures. Work that takes less time than the way to the thread and
back may be done on the loop's thread while the connection's own is idle (docs/decisions/0107).

Read-only connections are aiosqlite's. It takes statements, not functions, so we subclass its sqlite3 connection with an
`executemany` that takes a function to run.

Invariants: only its own thread touches a sqlite3 connection, or the loop's thread while the connection's own has no
work. Work that was handed over runs to its end even if its caller is cancelled, so no transaction is left half-done.
The threads are daemons: a thread that is stuck in a system call cannot be stopped, and must not keep the process alive.
"""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import aiosqlite

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
Ended = Callable[[Any, BaseException | None], object]
"""Called on the event loop with the result of work, or with the exception that it raised."""

_RUN = "-- run the work given as the parameter"

# Every size of a multi-row statement (see rows.py) stays prepared, as do the few other statements.
_STATEMENTS_MAX = 160
# A thread starts within half of this if a processor is free; if none is, the loop should keep its own.
_BEGINS_WITHIN_S = 0.000_2


class Connection(Protocol):
    """A connection to one file; the caller must `close` it, or its thread remains."""

    def run(self, work: Work[T]) -> Awaitable[T]:
        """Run `work` on the connection's thread; return its result or raise its exception."""
        ...

    def interrupt(self) -> None:
        """Interrupt the running statement, if any. A writing connection ignores this."""
        ...

    async def close(self) -> None:
        """Finish the work handed over so far, close the connection and end its thread."""
        ...


class WritingConnection(Connection, Protocol):
    """A connection that also writes."""

    def run_then(self, work: Work[Any], ended: Ended, *, promptly: bool = False) -> None:
        """Run `work` on the connection's thread, then call `ended`, in a callback of the event loop.

        promptly: hold the event loop until the work has started, for work that many callers wait for.
        """
        ...

    @property
    def idle(self) -> sqlite3.Connection | None:
        """The database if no work is under way, for work that the caller does before it yields; None if it may not."""
        ...


async def connect_to_read(path: str, *, busy_timeout_s: float, at_rest: bool = False) -> Connection:
    """Open the file at an absolute path on a new thread; raise sqlite3.Error if it cannot be opened.

    at_rest: nobody writes to the file meanwhile, so it is read without locks, and no file is created beside it.
    """
    mode = "mode=ro&immutable=1" if at_rest else "mode=ro"
    return await _open_to_read(_address(path, mode), **_options(busy_timeout_s))


async def connect_to_write(path: str, *, busy_timeout_s: float) -> WritingConnection:
    """Open the file at an absolute path on a new thread, and create it if there is none; raise sqlite3.Error."""
    connection = _WritingConnection()
    await connection.open(_address(path, "mode=rwc"), _options(busy_timeout_s))
    return connection


def _address(path: str, mode: str) -> str:
    return f"file:{quote(path)}?{mode}"


def _options(busy_timeout_s: float) -> dict[str, Any]:
    return {"uri": True, "isolation_level": None, "timeout": busy_timeout_s, "cached_statements": _STATEMENTS_MAX}


# --- The connection that writes --------------------------------------------------------------------------------------


class _Job(NamedTuple):
    """Work for the thread, and what to call at its end. A waiter for `begun` has locked it. No work ends the thread."""

    work: Work[Any] | None
    ended: Ended | None
    begun: Lock | None


class _Jobs(SimpleQueue[_Job]):
    """The queue of a thread, which the thread and the connection share.

    taken: the number of jobs that the loop has handed over.
    done: the number of jobs that the thread has finished; it touches the database only when there are more of `taken`.
    database: the open database.
    """

    __slots__ = ("database", "done", "loop", "taken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.taken = self.done = 0
        self.database: sqlite3.Connection | None = None

    def tell(self, ended: Ended | None, result: Any, error: BaseException | None) -> None:
        """Call `ended` on the loop."""
        if ended is not None:
            with suppress(RuntimeError):  # the loop is closed, and its waiters are gone
                self.loop.call_soon_threadsafe(ended, result, error)


class _WritingConnection:
    """The queue of a thread, which refers to nothing else here, so an unclosed connection can be collected."""

    __slots__ = ("_is_closed", "_jobs")

    def __init__(self) -> None:
        self._jobs = _Jobs(asyncio.get_running_loop())
        self._is_closed = False

    async def open(self, address: str, options: dict[str, Any]) -> None:
        """Start the thread and open the file on it; if that fails, the thread ends."""
        opened: asyncio.Future[None] = self._jobs.loop.create_future()
        thread = Thread(
            target=_serve,
            args=(self._jobs, partial(_resolve, opened), address, options),
            name="actorium-sqlite-writer",
            daemon=True,
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

    async def run(self, work: Work[T]) -> T:
        future: asyncio.Future[T] = self._jobs.loop.create_future()
        self.run_then(work, partial(_resolve, future))
        return await future

    def run_then(self, work: Work[Any], ended: Ended, *, promptly: bool = False) -> None:
        if self._is_closed:
            raise ValueError("Connection closed")
        jobs = self._jobs
        jobs.taken += 1
        if promptly:
            begun = Lock()
            begun.acquire()
            jobs.put(_Job(work, ended, begun))
            begun.acquire(timeout=_BEGINS_WITHIN_S)
        else:
            jobs.put(_Job(work, ended, None))

    @property
    def idle(self) -> sqlite3.Connection | None:
        jobs = self._jobs
        return None if self._is_closed or jobs.taken != jobs.done else jobs.database

    def interrupt(self) -> None:
        pass  # other callers wait for writes

    async def close(self) -> None:
        if not self._is_closed:
            ended: asyncio.Future[None] = self._jobs.loop.create_future()
            self._end(partial(_resolve, ended))
            await ended

    def _end(self, ended: Ended | None) -> None:
        self._is_closed = True
        self._jobs.put(_Job(None, ended, None))

    def __del__(self) -> None:
        if not self._is_closed:
            self._end(None)
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=1)


def _serve(jobs: _Jobs, opened: Ended, address: str, options: dict[str, Any]) -> None:
    """The body of the thread: open the file, do the jobs one by one, close it."""
    try:
        # The loop's thread may use it while this one waits for jobs.
        db = jobs.database = sqlite3.connect(address, check_same_thread=False, **options)
    except BaseException as error:
        jobs.tell(opened, None, error)
        return
    jobs.tell(opened, None, None)
    while (job := jobs.get()).work is not None:
        _do(job, job.work, jobs, db)
        del job  # it may refer to large objects, and the next job may come much later
    jobs.database = None
    try:
        db.close()
    except BaseException as error:
        jobs.tell(job.ended, None, error)
    else:
        jobs.tell(job.ended, None, None)


def _do(job: _Job, work: Work[Any], jobs: _Jobs, db: sqlite3.Connection) -> None:
    if job.begun is not None:
        job.begun.release()
    try:
        result = work(db)
    except BaseException as error:
        jobs.done += 1
        jobs.tell(job.ended, None, error)
    else:
        jobs.done += 1
        jobs.tell(job.ended, result, None)


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

    async def run(self, work: Work[T]) -> T:
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
            self._tell(future, None, error)
        else:
            self._tell(future, result, None)
        finally:
            with self._lock:
                self._db = None
            db.close()

    def _tell(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            future.get_loop().call_soon_threadsafe(_resolve, future, result, error)

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

    async def run(self, work: Work[T]) -> T:
        errand = _Errand(work)
        await self._database.executemany(_RUN, ((errand,),))
        return errand.result

    def interrupt(self) -> None:
        self._db.interrupt()  # the one method that may be called from another thread

    async def close(self) -> None:
        await self._database.close()


async def _open_to_read(address: str, **options: Any) -> Connection:
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
