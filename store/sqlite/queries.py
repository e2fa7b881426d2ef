"""`QueryConnections`: user queries, each on its own connection, so that none waits for another.

Invariants between any two awaits: an open connection is either idle or serves exactly one query. A query whose caller
left is interrupted until it ends; only then does its connection serve another one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from actorium.store.guard import StatementGuard
from actorium.store.sqlite.connection import Connection
from actorium.store.sqlite.schema import own_names

T = TypeVar("T")

# An interrupt before SQLite has started the statement is lost, so it is repeated.
_INTERRUPT_EVERY_S = 0.02


class _Query(NamedTuple):
    connection: Connection
    guard: StatementGuard


class QueryConnections:
    """Opens connections as queries need them, and keeps them; the owner of `connect` closes them.

    Their number is the largest number of simultaneous queries so far, which the runtime limits.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._idle: list[_Query] = []
        self._running: dict[asyncio.Future[Any], Connection] = {}

    async def run(self, work: Callable[[sqlite3.Connection, StatementGuard], T]) -> T:
        """Return the result of `work`; if the caller leaves, its statement is interrupted."""
        query = self._idle.pop() if self._idle else await self._opened()
        guard = query.guard
        running = asyncio.ensure_future(query.connection.run(lambda db: work(db, guard)))
        self._running[running] = query.connection
        running.add_done_callback(lambda ended: self._ended(ended, query))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._interrupt(running)
            raise

    def interrupt_all(self) -> None:
        """Interrupt every running query."""
        for running in list(self._running):
            self._interrupt(running)

    async def _opened(self) -> _Query:
        return _Query(await self._connect(), StatementGuard(own_names(), reads_only=True))

    def _ended(self, ended: asyncio.Future[Any], query: _Query) -> None:
        del self._running[ended]
        self._idle.append(query)
        if not ended.cancelled():
            ended.exception()  # nobody may be left to handle it

    def _interrupt(self, running: asyncio.Future[Any]) -> None:
        connection = self._running.get(running)
        if connection is not None:
            connection.interrupt()
            asyncio.get_running_loop().call_later(_INTERRUPT_EVERY_S, self._interrupt, running)
