"""`Session`, one connection, and `SessionPool`, a few that are used side by side.

Invariants between any two awaits:
- a connection serves one piece of work at a time;
- work that was begun is finished although its caller leaves. (To cancel a statement takes another connection, and what
  it wrote would be unknown.) A query is the exception: it only reads, and may take long;
- a connection that broke is replaced for the next piece of work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import asyncpg

from actorium.store.errors import StoreUnavailable
from actorium.store.postgresql.connections.failures import is_of_server

T = TypeVar("T")

Connection: TypeAlias = "asyncpg.Connection[Any]"
Connect = Callable[[], Awaitable[Connection]]
Work = Callable[[Connection], Awaitable[T]]

_CLOSE_S = 2.0


class Session:
    """One connection, made on first use, and its work, one piece after another.

    on_closed: called when the connection has closed, whoever closed it.
    """

    __slots__ = ("_busy", "_connect", "_connection", "_running", "on_closed")

    def __init__(self, connect: Connect) -> None:
        self.on_closed: Callable[[], None] | None = None
        self._connect = connect
        self._connection: Connection | None = None
        self._busy = asyncio.Lock()
        self._running: dict[asyncio.Task[Any], bool] = {}  # whether it may be cancelled

    async def run(self, work: Work[T], *, cancellable: bool = False, ended: Callable[[], None] | None = None) -> T:
        """Do a piece of work, and finish it even if the caller is cancelled.

        cancellable: the server is told to end the work if the caller is cancelled or the session is closed.
        ended: called when the work has ended, whether the caller is still there or not.
        """
        task = asyncio.get_running_loop().create_task(self._run(work))
        self._running[task] = cancellable
        task.add_done_callback(lambda task: self._ended(task, ended))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if cancellable:
                task.cancel()
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise StoreUnavailable("the store was closed before the query ended") from None
            raise

    async def run_to_end(self, work: Work[T]) -> T:
        """Do a piece of work for a caller that is never cancelled, such as a `prompt_call`."""
        return await self._run(work)

    def _ended(self, task: asyncio.Task[Any], ended: Callable[[], None] | None) -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # its caller may have left
        if ended is not None:
            ended()

    async def _run(self, work: Work[T]) -> T:
        async with self._busy:
            connection = self._connection
            if connection is None or connection.is_closed():
                # In a task: a `prompt_call` is none, and there is a time limit for it.
                self._connection = connection = await asyncio.ensure_future(self._connect())
                if (on_closed := self.on_closed) is not None:
                    connection.add_termination_listener(lambda _: on_closed())
            try:
                return await work(connection)
            except BaseException as error:
                if is_of_server(error):
                    self.drop()
                raise

    def drop(self) -> None:
        """Close the connection at once, without a word to the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Finish what was begun, or cancel it if that is allowed, and close the connection."""
        for task, cancellable in self._running.items():
            if cancellable:
                task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        async with self._busy:  # after what `run_to_end` began
            connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=_CLOSE_S)
            except Exception:
                connection.terminate()


class SessionPool:
    """At most `size` sessions; who finds none free waits for one."""

    __slots__ = ("_free", "_sessions", "_waiting")

    def __init__(self, connect: Connect, size: int) -> None:
        self._sessions = [Session(connect) for _ in range(size)]
        self._free = list(self._sessions)
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, work: Work[T], *, cancellable: bool = False) -> T:
        """Do a piece of work on a free session, as `Session.run` does."""
        while not self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake_next()
                raise
        session = self._free.pop()
        return await session.run(work, cancellable=cancellable, ended=lambda: self._release(session))

    def _release(self, session: Session) -> None:
        self._free.append(session)
        self._wake_next()

    def _wake_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def close(self) -> None:
        """Close all sessions."""
        await asyncio.gather(*(session.close() for session in self._sessions))
