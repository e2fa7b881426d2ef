"""`Silence`: ends a connection whose server does not answer, with one timer for many statements.

The driver's own limit sets and cancels a timer for each statement, which a lone caller would pay for with each command.
"""

from __future__ import annotations

import asyncio

from actorium.store.postgresql.connections.sessions import Connection

_LOOKS = 4
"""How often the timer looks within the limit: a connection ends up to one interval late, never early."""


class Silence:
    """Watches one statement after another; when it ends their connection, the driver raises the error.

    limit_s: how long an answer may take, in seconds.
    """

    __slots__ = ("_asked", "_limit_s", "_looks", "_number", "_seen", "_timer")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._asked: Connection | None = None  # the connection whose server has not answered yet
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
