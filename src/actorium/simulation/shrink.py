"""`shrink`: the smallest run that still fails in the same way: fewest faults, fewest commands, plainest order.

Draws go by name, not by number: what is left out moves nothing else. So a smaller run is asked for by the faults that
are to happen and the commands that are not to be sent, and delta debugging (Zeller, Hildebrandt 2002) does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from actorium.simulation.run import Outcome, Scenario, Wish, run

T = TypeVar("T")


class Shrunk(msgspec.Struct, frozen=True):
    """The smallest failing run that was found: its wish and outcome; `runs` were tried in `elapsed_s` of real time.

    is_smallest: nothing more can be left out; False where time or runs gave out before.
    """

    wish: Wish
    outcome: Outcome
    runs: int
    elapsed_s: float
    is_smallest: bool


def shrink(scenario: Scenario, failed: Outcome, *, within_s: float = 10.0, runs_max: int = 5_000) -> Shrunk:
    """Make a failing run smaller, as long as the same invariant fails and neither seconds nor runs give out."""
    if failed.violation is None:
        raise ValueError("a run that holds every invariant has nothing to shrink")
    search = _Search(scenario, failed, within_s, runs_max)
    search.run()
    return search.found()


class _Exhausted(Exception):
    """Time or runs have given out."""


class _Search:
    def __init__(self, scenario: Scenario, failed: Outcome, within_s: float, runs_max: int) -> None:
        assert failed.violation is not None
        self._scenario = scenario
        self._invariant = failed.violation.invariant
        self._best = failed
        self._runs = 0
        self._runs_max = runs_max
        self._started_s = time.monotonic()
        self._end_s = self._started_s + within_s
        self._is_smallest = False

    def run(self) -> None:
        try:
            self._try(only=frozenset(self._best.faults))
            self._simplify()
            before = -1
            while before != self._size():
                before = self._size()
                self._fewer_faults()
                self._fewer_commands()
                self._simplify()
            self._is_smallest = True
        except _Exhausted:
            pass

    def found(self) -> Shrunk:
        elapsed_s = time.monotonic() - self._started_s
        return Shrunk(self._best.wish, self._best, self._runs, elapsed_s, self._is_smallest)

    def _size(self) -> int:
        return len(self._best.faults) + len(_sent(self._best))

    def _simplify(self) -> None:
        """Try the order in which things became ready, the usual limits, and no crash beside the faults."""
        wish = self._best.wish
        if wish.reorder:
            self._try(reorder=False)
        if wish.faults.vary_settings:
            self._try(faults=msgspec.structs.replace(wish.faults, vary_settings=False))
        if wish.crash_at is not None:
            self._try(crash_at=None)

    def _fewer_faults(self) -> None:
        self._reduce(lambda: self._best.faults, lambda kept: self._try(only=frozenset(kept)))

    def _fewer_commands(self) -> None:
        def only_these(kept: Sequence[str]) -> bool:
            names = {one.name for one in self._best.operations}
            return self._try(leave_out=self._best.wish.leave_out | (names - set(kept)))

        self._reduce(lambda: _sent(self._best), only_these)

    def _reduce(self, there: Callable[[], Sequence[T]], fails_with: Callable[[Sequence[T]], bool]) -> None:
        """Leave parts out, half of what there is first, single ones last, until no single one can go."""
        size = len(there())
        while size:
            start, is_smaller = 0, False
            while start < len(there()):
                items = there()
                if fails_with([*items[:start], *items[start + size :]]):
                    is_smaller = True
                else:
                    start += size
            if size == 1 and not is_smaller:
                return
            size = min(max(1, size // 2), len(there()))

    def _try(self, **changes: Any) -> bool:
        """Run with a wish changed; keep it if it fails in the same way."""
        if self._runs >= self._runs_max or time.monotonic() >= self._end_s:
            raise _Exhausted
        self._runs += 1
        outcome = run(self._scenario, msgspec.structs.replace(self._best.wish, **changes))
        if outcome.violation is None or outcome.violation.invariant != self._invariant:
            return False
        self._best = outcome
        return True


def _sent(outcome: Outcome) -> list[str]:
    return [one.name for one in outcome.operations if not one.left_out]
