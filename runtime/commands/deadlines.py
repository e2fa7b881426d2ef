"""`Deadlines`: the deadlines of waiters, in order, with one event loop timer for all of them.

Most timeouts are equal, so most waiters arrive in the order of their deadlines and are in `line`, a queue. The others
are in `_early`, a heap. Code that answers waiters calls `sweep`, so that finished objects are freed early, which spares
the garbage collector.

Invariants:
- `line` is sorted by deadline; neither its last deadline nor the timer is later than `last`;
- while there are waiters, the timer is set for the first deadline or earlier; without a timer, `_armed_for` is
  infinite;
- after `sweep`, the first waiter in `line` is not done, and at most about half of `line` is; the same holds for
  `_early` after an `add`.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

# Pruning a shorter queue is not worth it. The queue can hold this many finished commands behind a slow one.
_PRUNE_FROM = 128


_future_of: Callable[[Any], asyncio.Future[Any]] = attrgetter("future")
_is_done: Callable[[asyncio.Future[Any]], bool] = asyncio.Future.done


class Waiter(Protocol):
    """A waiter for a future until a loop time; it has its future when it is added, and keeps it."""

    @property
    def future(self) -> asyncio.Future[Any] | None: ...

    @property
    def deadline(self) -> float: ...


W = TypeVar("W", bound=Waiter)


class Deadlines(Generic[W]):
    """Calls `expire` for each waiter whose time has come and whose future is not done."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[W], None]) -> None:
        self._loop = loop
        self._expire = expire
        self.line: deque[W] = deque()
        self.last = math.inf  # the smallest deadline that may be appended to the queue
        self._prune_line_at = self._prune_early_at = _PRUNE_FROM
        self._early: list[tuple[float, int, W]] = []
        self._number = 0  # the number of the last early waiter, so that the heap does not compare waiters
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = math.inf

    def __len__(self) -> int:
        return len(self.line) + len(self._early)

    def add(self, waiter: W) -> None:
        """Expire a waiter at its deadline."""
        deadline = waiter.deadline
        if deadline >= self.last:
            self.last = deadline
            self.line.append(waiter)
        else:
            self._add_unusual(waiter, deadline)

    def sweep(self) -> None:
        """Forget the first waiters that are done, and all that are done if the first one blocks many of them."""
        line = self.line
        # Usually all are done, as callers of one commit are. Asking in C takes a third of the time: hot path.
        if all(map(_is_done, map(_future_of, line))):
            line.clear()
        else:
            while not _waits(line[0]):
                line.popleft()
        if not line:
            self.last = self._armed_for
        elif len(line) > self._prune_line_at:
            self.line = line = deque(waiter for waiter in line if _waits(waiter))
            self._prune_line_at = max(_PRUNE_FROM, 2 * len(line))

    def close(self) -> None:
        """Forget everybody."""
        self.line.clear()
        self._early.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.last = self._armed_for = math.inf

    def _add_unusual(self, waiter: W, deadline: float) -> None:
        if not self.line:
            self._arm(deadline)
            self.line.append(waiter)
            return
        self._number += 1
        early = self._early
        heappush(early, (deadline, self._number, waiter))
        if deadline < self._armed_for:
            self._arm(deadline)
        if len(early) > self._prune_early_at:
            self._early = early = [entry for entry in early if _waits(entry[2])]
            heapify(early)
            self._prune_early_at = max(_PRUNE_FROM, 2 * len(early))

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._ring)
        self._armed_for = when
        self.last = self.line[-1].deadline if self.line else when

    def _ring(self) -> None:
        now = self._loop.time()
        due: list[W] = []
        line, early = self.line, self._early
        while line and (line[0].deadline <= now or not _waits(line[0])):
            due.append(line.popleft())
        while early and (early[0][0] <= now or not _waits(early[0][2])):
            due.append(heappop(early)[2])
        self._timer = None
        self.last = self._armed_for = math.inf
        first = min(line[0].deadline if line else math.inf, early[0][0] if early else math.inf)
        if first < math.inf:
            self._arm(first)
        for waiter in due:
            if _waits(waiter):
                self._expire(waiter)


def _waits(waiter: Waiter) -> bool:
    return waiter.future is not None and not waiter.future.done()
