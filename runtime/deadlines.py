"""`Deadlines`: one heap and one timer of the loop for all that can time out.

Invariant: the timer is armed for the earliest entry, or earlier. An entry whose future is done stays in the heap until
its time comes or until half of the heap is such entries, so the heap is at most about twice what really waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

_PRUNE_FROM = 1024  # below this a sweep is not worth its while


class Deadlines:
    """Ends futures with an error when their time comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, asyncio.Future[Any], Callable[[Any], Exception], Any]] = []
        self._count = 0
        self._prune_at = _PRUNE_FROM
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, future: asyncio.Future[Any], expired: Callable[[Any], Exception], about: Any) -> None:
        """End `future` with `expired(about)` at loop time `when`, unless it is done by then."""
        heap = self._heap
        self._count = count = self._count + 1
        heappush(heap, (when, count, future, expired, about))
        if self._timer is None or when < self._armed_for:
            self._arm(when)
        if len(heap) > self._prune_at:
            self._prune()

    def close(self) -> None:
        """Forget everything."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        heap = self._heap
        now = self._loop.time()
        while heap and (heap[0][0] <= now or heap[0][2].done()):
            _, _, future, expired, about = heappop(heap)
            if not future.done():
                future.set_exception(expired(about))
        if heap:
            self._arm(heap[0][0])

    def _prune(self) -> None:
        self._heap = [entry for entry in self._heap if not entry[2].done()]
        heapify(self._heap)
        self._prune_at = max(_PRUNE_FROM, 2 * len(self._heap))
