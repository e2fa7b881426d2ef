"""One SQLite connection with a thread of its own, on which a whole piece of work is one hop.

`aiosqlite` runs every call on the connection's thread, one hop to and fro per call (some 60 µs). A transaction of five
statements would pay five. So the connection's class is ours, and its `executemany` takes a function to run there: any
number of statements for one hop, through aiosqlite's public face.

A thread that was handed work needs the interpreter lock to begin it, and the event loop, which has it, goes on with
whatever else is ready. So work that others wait for is handed over together with the lock (`promptly`): the loop stands
still until the work has begun, and does the rest while SQLite and the disk are busy. (6,500 commands a second that come
one by one: half of them answered within 3.7 ms in place of 4.4, for 7% more processor, as commits are smaller.)

Invariants: the sqlite3 connection is touched on its own thread only; work that was handed over runs to its end even
when the caller that awaits it is cancelled, so nobody ever leaves a transaction half-way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable
from threading import Lock
from types import coroutine
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import aiosqlite

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

_RUN = "-- run the work given as the parameter"

# Every size of a multi-row statement (see rows.py) stays prepared, and the few others beside them.
_STATEMENTS_MAX = 160
# A thread begins within half of this, unless the machine has no processor for it: then the loop had better use its own.
_BEGINS_WITHIN_S = 0.000_2


class _Errand(Generic[T]):
    """A function on its way to the connection's thread, and what it returned; who waits for `begun` has locked it."""

    __slots__ = ("begun", "result", "work")

    result: T

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.begun: Lock | None = None


class _ErrandConnection(sqlite3.Connection):
    """A connection whose `executemany` runs an errand."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        if sql is not _RUN:
            return super().executemany(sql, parameters)
        for (errand,) in parameters:
            if errand.begun is not None:
                errand.begun.release()
            errand.result = errand.work(self)
        return self.cursor()


class Connection:
    """A connection to one file, opened by `connect`; whoever opened it must `close` it, or the thread stays."""

    __slots__ = ("_database",)

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def run(self, work: Work[T], *, promptly: bool = False) -> T:
        """Run `work` on the connection's thread and return what it returns; raise what it raises.

        promptly: hold the event loop until the work has begun; for work that many wait for.
        """
        errand = _Errand(work)
        if promptly:
            await self._begin(errand)
        else:
            await self._database.executemany(_RUN, ((errand,),))
        return errand.result

    @coroutine
    def _begin(self, errand: _Errand[Any]) -> Generator[Any, None, Any]:
        """Await the errand, as a coroutine that is stopped once more on its way: between handing over and waiting."""
        errand.begun = begun = Lock()
        begun.acquire()
        steps = self._database.executemany(_RUN, ((errand,),)).__await__()
        future = next(steps)
        begun.acquire(timeout=_BEGINS_WITHIN_S)
        try:
            yield future
        except BaseException as error:
            steps.throw(error)  # comes out of it again, as from any `await`
        return (yield from steps)

    async def close(self) -> None:
        """Finish the work handed over so far, close the connection and end its thread."""
        await self._database.close()


async def connect(path: str, *, read_only: bool, busy_timeout_s: float, at_rest: bool = False) -> Connection:
    """Open the file at an absolute path, on a new thread; sqlite3.Error when it cannot be opened.

    at_rest: nobody writes to the file meanwhile, so it is read without locks, and with no file made beside it.
    """
    mode = "ro" if read_only else "rwc"
    database = aiosqlite.connect(
        f"file:{quote(path)}?mode={mode}{'&immutable=1' if at_rest else ''}",
        uri=True,
        factory=_ErrandConnection,
        isolation_level=None,
        timeout=busy_timeout_s,
        cached_statements=_STATEMENTS_MAX,
    )
    # A thread that is stuck in a system call cannot be ended; it must not keep the process from ending, though.
    database._thread.daemon = True
    try:
        return Connection(await database)
    except sqlite3.Error:
        database._thread.join()  # it has a last word for the loop, which may be closed as soon as this is told
        raise
