"""`Throughput`: the rate at which a queue is served, measured in rounds.

A round begins with the current length of the queue, or with the first arrival if it was empty. It ends when that many
have been served, or a hundred in a twentieth of a second or more. A short round shows only how long one commit takes,
which many could share. So the rate comes from long rounds, and a short round can only raise it. The same holds for a
round that began with an empty queue: when ten thousand arrive together, that time is spent on admitting them. And a
round says little about a queue that is much longer: one stall of the process while a hundred are served would be
multiplied by a hundred for ten thousand. So a round also covers at least an eighth of those who wait. A queue that was
empty for a while has no known rate, and new arrivals are admitted.
"""

from __future__ import annotations

from collections.abc import Callable

_LONG_ROUND = 100
_ROUND_S = 0.05
_PART_OF_QUEUE = 8
_FORGOTTEN_AFTER_S = 1.0


class Throughput:
    """The throughput of one queue: `each_s` is the seconds per item served; 0 if not known."""

    __slots__ = ("_began", "_gone", "_size", "_time", "each_s")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self.each_s = 0.0
        self._began = 0.0
        self._size = self._gone = 0  # the length at the start of the round, and how many were served since

    def begin(self, now: float) -> None:
        """Record an arrival in a queue that was empty."""
        if now - self._began > _FORGOTTEN_AFTER_S:
            self.each_s = 0.0
        self._began = now

    def gone(self, count: int, waiting: int) -> None:
        """Record that `count` were served and that `waiting` are in the queue now."""
        if not (waiting or self._size or self.each_s):
            self._gone = 0  # a short round without a rate to raise
            return
        if count == 1 and not self._size and not self._gone and waiting >= _LONG_ROUND:
            return  # the first of a burst is committed alone: the others are still being admitted
        self._gone = gone = self._gone + count
        is_whole = gone >= self._size or not waiting
        if (not is_whole and gone < _LONG_ROUND) or (self._size and gone * _PART_OF_QUEUE < waiting):
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
