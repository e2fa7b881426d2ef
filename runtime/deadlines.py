"""`Deadlines`: one sorted list and one timer of the loop for all that can time out.

Invariants: the list is in the order of time; the timer is armed for its first entry, or earlier. An entry whose future
is done stays in it until its time comes or until half of the list is such entries, so the list is at most about twice
as long as what really waits. Most wait equally long: a new entry goes to the end, for less than a heap takes.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable
from operator import itemgetter
from typing import Any

_PRUNE_FROM = 1024  # below this a sweep is not worth its while

_Entry = tuple[float, asyncio.Future[Any], Callable[[Any], Exception], Any]
_when: Callable[[_Entry], float] = itemgetter(0)


class Deadlines:
    """Ends futures with an error when their time comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: list[_Entry] = []
        self._prune_at = _PRUNE_FROM
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, when: float, future: asyncio.Future[Any], expired: Callable[[Any], Exception], about: Any) -> None:
        """End `future` with `expired(about)` at loop time `when`, unless it is done by then."""
        entries = self._entries
        if not entries or when >= entries[-1][0]:
            entries.append((when, future, expired, about))
        else:
            insort(entries, (when, future, expired, about), key=_when)
        if self._timer is None or when < self._armed_for:
            self._arm(when)
        if len(entries) > self._prune_at:
            self._prune()

    def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
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
        entries = self._entries
        now = self._loop.time()
        over = 0
        for when, future, expired, about in entries:
            if future.done():
                over += 1
            elif when <= now:
                over += 1
                future.set_exception(expired(about))
            else:
                break
        del entries[:over]
        if entries:
            self._arm(entries[0][0])

    def _prune(self) -> None:
        self._entries = [entry for entry in self._entries if not entry[1].done()]
        self._prune_at = max(_PRUNE_FROM, 2 * len(self._entries))
