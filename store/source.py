"""The only source of wall time, identity and randomness.

Nothing else in the runtime asks the operating system for any of these, so a run with a seeded source is the same each
time. Monotonic time is the event loop's own (`loop.time()`); a simulation replaces it together with the loop.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import chain, count, product
from typing import Protocol


class Source(Protocol):
    """A source of wall time, identifiers and random numbers."""

    def now_us(self) -> int:
        """Return the wall time in microseconds since the Unix epoch; it may step backwards."""
        ...

    def new_id(self) -> str:
        """Return an identifier that no other call, process or machine returns; identifiers rise within a run."""
        ...

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


_TWO_DIGITS = [f"{low:02x}" for low in range(256)]


class SystemSource:
    """The real clock and the operating system's randomness.

    Identifiers are `<start of the run, ms, hex>-<48 random bits>-<counter>`. The random part makes them unique. Because
    they rise, the permanent index of command ids grows at its right edge, at a fifth of the cost of random keys.

    new_id: an iterator in C, which joins three parts of an identifier. Formatting the whole number costs twice as much.
    """

    __slots__ = ("_random", "new_id")

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        run = f"{time.time_ns() // 1_000_000:011x}-{self._random.getrandbits(48):012x}-"
        parts = chain.from_iterable(product((f"{run}{high:04x}",), _TWO_DIGITS, _TWO_DIGITS) for high in count())
        self.new_id: Callable[[], str] = map("".join, parts).__next__
        self.new_id()

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def random(self) -> float:
        return self._random.random()


class SeededSource:
    """For tests and simulations: a seed always gives the same identifiers and random numbers; time is set by hand."""

    __slots__ = ("_count", "_random", "_seed", "time_us")

    def __init__(self, seed: int = 0, *, time_us: int = 1_700_000_000_000_000) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._count = 0
        self.time_us = time_us

    def now_us(self) -> int:
        return self.time_us

    def new_id(self) -> str:
        self._count = count = self._count + 1
        return f"{self._seed:x}-{count:08x}"

    def random(self) -> float:
        return self._random.random()
