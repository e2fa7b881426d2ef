"""`LoopSource`: a seeded source whose wall clock follows the running loop's, for tests with virtual time."""

from __future__ import annotations

import asyncio

from actorium.store.source import SeededSource


class LoopSource(SeededSource):
    """A source of time, ids and random numbers for tests: it is seeded, and wall time follows the loop's clock.

    The same seed gives the same ids and random numbers. On a loop whose clock jumps, a thirty-day timer expires at
    once.

    time_us: the wall time when the loop's clock shows 0.
    """

    def now_us(self) -> int:
        return self.time_us + round(asyncio.get_running_loop().time() * 1_000_000)
