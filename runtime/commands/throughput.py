"""`Throughput`: how fast a queue goes, measured round by round.

A round begins with so many in the queue, or with the first to come where it was empty. It is over when as many had
their turn, or a hundred in a twentieth of a second or more. A short round tells no more than how long a commit takes,
which many could share: so the pace is that of long rounds, and a short one can only show that the queue goes faster by
now. So can one that began with an empty queue: while ten thousand come at once, the time goes into taking them in. A
queue that was empty for a while has no pace: what comes then is let in.
"""

from __future__ import annotations

from collections.abc import Callable

_LONG_ROUND = 100
_ROUND_S = 0.05
_FORGOTTEN_AFTER_S = 1.0


class Throughput:
    """The pace of one queue: `each_s` is the time for each who has a turn; 0 where it is not known."""

    __slots__ = ("_began", "_gone", "_size", "_time", "each_s")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self.each_s = 0.0
        self._began = 0.0
        self._size = self._gone = 0  # how many the round began with, and how many had their turn since

    def begin(self, now: float) -> None:
        """Take note that somebody comes into the queue, which was empty."""
        if now - self._began > _FORGOTTEN_AFTER_S:
            self.each_s = 0.0
        self._began = now

    def gone(self, count: int, waiting: int) -> None:
        """Take note that so many had their turn, and that so many are in the queue now."""
        self._gone = gone = self._gone + count
        is_whole = gone >= self._size or not waiting
        if not is_whole and gone < _LONG_ROUND:
            return
        now = self._time()
        took_s = now - self._began
        if not is_whole and took_s < _ROUND_S:
            return
        each_s = took_s / gone
        if (gone >= _LONG_ROUND and self._size) or each_s < self.each_s:
            self.each_s = each_s
        self._began = now
        self._size = waiting
        self._gone = 0
