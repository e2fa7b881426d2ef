"""`Silence`: ends a connection that owes an answer for too long, with one timer for many statements.

The driver's own limit sets a timer for each statement, and takes it back. A lone caller pays that with each command.
"""

from __future__ import annotations

import asyncio

from actorium.store.postgresql.connections.sessions import Connection

_LOOKS = 4
"""How often it looks within the limit: the end comes up to one interval too late, never too early."""


class Silence:
    """Watches one statement after another; the end of their connection is their error.

    limit_s: how long an answer may take, in seconds.
    """

    __slots__ = ("_asked", "_limit_s", "_looks", "_number", "_seen", "_timer")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._asked: Connection | None = None  # the connection that owes an answer
        self._number = self._seen = self._looks = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: Connection) -> None:
        """Watch a statement, which is sent now; call `end` with its answer or error."""
        self._asked = connection
        self._number += 1
        if self._timer is None:
            self._look_later()

    def end(self) -> None:
        """Note that the statement has ended."""
        self._asked = None

    def stop(self) -> None:
        """Stop looking; nothing is sent any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limit_s / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._asked is None:
            return
        if self._seen != self._number:
            self._seen, self._looks = self._number, 0
        self._looks += 1
        if self._looks > _LOOKS:
            self._asked.terminate()
        else:
            self._look_later()
