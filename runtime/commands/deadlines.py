"""`Deadlines`: a sorted list of times, with one event loop timer for all of them.

Invariants: `waiting` holds exactly the waiters that have neither expired nor been answered. Whoever answers a waiter
removes it, so that finished objects are freed early, which spares the garbage collector. `_whens` is sorted and
parallel to `_numbers`; both are at most about twice as long as `waiting`. The timer is set for the first entry, or
earlier. Most timeouts are equal, so a new entry usually goes to the end, which is cheaper than a heap.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, TypeVar

_PRUNE_FROM = 1024  # pruning a shorter list is not worth it

W = TypeVar("W")


class Deadlines(Generic[W]):
    """Calls `expire` for each waiter whose time has come."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[W], None]) -> None:
        self._loop = loop
        self._expire = expire
        self.waiting: dict[int, W] = {}
        self._whens: list[float] = []
        self._numbers: list[int] = []
        self._number = 0
        self._prune_at = _PRUNE_FROM
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def __len__(self) -> int:
        return len(self._whens)

    def add(self, when: float, waiter: W) -> int:
        """Expire `waiter` at loop time `when`; return its number, the key to remove it from `waiting`."""
        self._number = number = self._number + 1
        self.waiting[number] = waiter
        whens = self._whens
        if not whens or when >= whens[-1]:
            whens.append(when)
            self._numbers.append(number)
        else:
            place = bisect_right(whens, when)
            whens.insert(place, when)
            self._numbers.insert(place, number)
        if self._timer is None or when < self._armed_for:
            self._arm(when)
        if len(whens) > self._prune_at:
            self._prune()
        return number

    def close(self) -> None:
        """Forget everybody."""
        self.waiting.clear()
        self._whens.clear()
        self._numbers.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        due = self._numbers[: bisect_right(self._whens, self._loop.time())]
        for number in due:
            waiter = self.waiting.pop(number, None)
            if waiter is not None:
                self._expire(waiter)
        # Drop the answered ones behind it too, or the timer would fire for each.
        over = next((n for n in range(len(due), len(self._numbers)) if self._numbers[n] in self.waiting), None)
        del self._whens[:over], self._numbers[:over]
        if self._whens:
            self._arm(self._whens[0])

    def _prune(self) -> None:
        left = [
            (when, number) for when, number in zip(self._whens, self._numbers, strict=True) if number in self.waiting
        ]
        self._whens = [when for when, _ in left]
        self._numbers = [number for _, number in left]
        self._prune_at = max(_PRUNE_FROM, 2 * len(left))
