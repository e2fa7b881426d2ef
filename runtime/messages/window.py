"""`Window`: limits how much one peer may be asked without having answered.

Invariants, true between any two awaits: the messages in the window are at most `max_asks` and `max_bytes`, unless it
holds a single larger one; senders that wait are admitted in order of arrival; nobody overtakes them.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from actorium.runtime.commands.admission import WaitLimit
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.throughput import Throughput
from actorium.runtime.errors import Overloaded
from actorium.store.wording import counted

ASKS_MAX = 4_096
BYTES_MAX = 4_194_304
# `Throughput` takes a single departure for the first of a burst.
_MEASURED_TOGETHER = 16


class _Waiting(msgspec.Struct, eq=False):
    size_bytes: int
    deadline: float
    future: asyncio.Future[None]


class Window:
    """The unanswered commands to one peer, and the senders that wait for room.

    peer: its name, for messages.
    max_asks, max_bytes: how many commands, and how many bytes of them, may be unanswered.
    """

    def __init__(self, peer: str, *, max_asks: int = ASKS_MAX, max_bytes: int = BYTES_MAX) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._peer = peer
        self._max_asks = max_asks
        self._max_bytes = max_bytes
        self.asks = 0
        self.bytes = 0
        self.refused = 0
        self._waiting: deque[_Waiting] = deque()
        self._deadlines: Deadlines[_Waiting] = Deadlines(loop, self._time_out)
        self._throughput = Throughput(loop.time)
        self._wait_limit = WaitLimit(loop.time)
        self._left = 0  # departures since the last measurement

    @property
    def waiting(self) -> int:
        """The number of senders that wait for room."""
        return len(self._waiting)

    def require_time(self, timeout_s: float) -> None:
        """Refuse a command that would wait too long for its reply, even if there is room for it.

        Raises Overloaded if the replies before its own are expected to take more than a third of its time, or, in an
        overload, more than a twelfth.
        """
        expected_s = (self.asks + len(self._waiting)) * self._throughput.each_s
        if expected_s > timeout_s * self._wait_limit.part and self._wait_limit.is_late(timeout_s, expected_s):
            self.refused += 1
            raise Overloaded(
                f"{self._peer} has {counted(self.asks, 'command')} unanswered, and would answer another one too late",
                retry_after_s=expected_s,
            )

    def try_enter(self, size_bytes: int) -> bool:
        """Take room for a command, if there is some and nobody waits for it."""
        if self._waiting:
            return False
        asks, in_bytes = self.asks, self.bytes + size_bytes
        if not asks:
            self._throughput.begin(self._loop.time())
        elif asks >= self._max_asks or in_bytes > self._max_bytes:  # `_fits`, inlined: hot path
            return False
        self.asks = asks + 1
        self.bytes = in_bytes
        return True

    def force(self, size_bytes: int) -> None:
        """Take room for a command that was admitted before, even if there is none."""
        self.asks += 1
        self.bytes += size_bytes

    async def enter(self, size_bytes: int, timeout_s: float) -> None:
        """Wait for room for a command, and take it.

        Raises Overloaded after `timeout_s` seconds, or immediately like `require_time`.
        """
        if self.try_enter(size_bytes):
            return
        self.require_time(timeout_s)
        one = _Waiting(size_bytes, self._loop.time() + timeout_s, self._loop.create_future())
        self._waiting.append(one)
        self._deadlines.add(one)
        try:
            await one.future
        except BaseException:
            if one in self._waiting:
                self._waiting.remove(one)
                self._admit()
            elif not one.future.cancelled() and one.future.exception() is None:
                self.leave(size_bytes)  # it was admitted while its caller was being cancelled
            raise
        finally:
            self._deadlines.sweep()

    def leave(self, size_bytes: int) -> None:
        """Give back the room of a command that was answered or given up, and admit those who wait."""
        self.asks = asks = self.asks - 1
        self.bytes = in_bytes = self.bytes - size_bytes
        assert asks >= 0, f"a command to {self._peer} left the window twice"
        assert in_bytes >= 0, f"a command to {self._peer} left the window with more bytes than it took"
        self._left = left = self._left + 1
        if left >= _MEASURED_TOGETHER:
            self._throughput.gone(left, asks + len(self._waiting))
            self._left = 0
        if self._waiting:
            self._admit()

    def close(self, error: Exception) -> None:
        """Refuse everybody who waits."""
        for one in self._waiting:
            if not one.future.done():
                one.future.set_exception(error)
        self._waiting.clear()
        self._deadlines.close()

    def _fits(self, size_bytes: int) -> bool:
        return not self.asks or (self.asks < self._max_asks and self.bytes + size_bytes <= self._max_bytes)

    def _admit(self) -> None:
        waiting = self._waiting
        while waiting and (waiting[0].future.done() or self._fits(waiting[0].size_bytes)):
            one = waiting.popleft()
            if not one.future.done():
                self.asks += 1
                self.bytes += one.size_bytes
                one.future.set_result(None)

    def _time_out(self, one: _Waiting) -> None:
        one.future.set_exception(self._overloaded(self.asks * self._throughput.each_s))

    def _overloaded(self, retry_after_s: float) -> Overloaded:
        self.refused += 1
        return Overloaded(
            f"{self._peer} has {counted(self.asks, 'command')} unanswered (the limit is {self._max_asks}, or "
            f"{self._max_bytes} bytes)",
            retry_after_s=retry_after_s,
        )
