"""`LoopSource`: a seeded source whose wall clock goes with the running loop's, for tests under virtual time."""

from __future__ import annotations

import asyncio

from actorium.store.source import SeededSource


class LoopSource(SeededSource):
    """A source for tests: the same seed gives the same ids and chances, and wall time passes as the loop's does.

    On a loop whose clock jumps, a timer of thirty days is due at once. `time_us` is the wall time when the loop's
    clock shows 0.
    """

    def now_us(self) -> int:
        return self.time_us + round(asyncio.get_running_loop().time() * 1_000_000)
