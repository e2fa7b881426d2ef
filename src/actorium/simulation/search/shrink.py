"""`shrink`: find the smallest run that fails in the same way: fewest faults, fewest commands, plainest order.

Random draws are made by name, not in sequence, so leaving something out changes no other draw. A smaller run is
requested by the faults that are to happen and the commands that are not to be sent, and delta debugging (Zeller,
Hildebrandt 2002) reduces both, from above. What that misses is searched from below: one or two of the commands, alone
or with one fault of a kind that occurred, at every place where it can affect them. Setup commands are left out last and
do not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import combinations
from typing import Any, TypeVar

import msgspec

from actorium.simulation.search.exhaustive import possible_faults
from actorium.simulation.search.run import Outcome, Scenario, Wish, run
from actorium.simulation.world.faults import FaultId, Kind

T = TypeVar("T")

# A run that takes this many times the steps of the failing one does not fail in the same way.
_LONGER = 3
_LONGER_STEPS = 2_000
_COMMANDS_FROM_BELOW = 2
_GLANCE_RUNS, _LOOK_RUNS = 60, 100  # before the long search from above, and after it
_SHORT = 2  # with this many commands and faults, no shorter run with other faults is searched for
_OF_PROCESSES = ("start ", "life ")
_VARIED = ("only", "leave_out", "goes_on", "crash_at", "reorder", "look_closely", "invariant")


class Shrunk(msgspec.Struct, frozen=True):
    """The smallest failing run found: its wish and outcome; `runs` were tried in `elapsed_s` of real time.

    is_smallest: nothing more can be left out; False if the search ran out of time or runs.
    """

    wish: Wish
    outcome: Outcome
    runs: int
    elapsed_s: float
    is_smallest: bool


def shrink(
    scenario: Scenario,
    failed: Outcome,
    *,
    within_s: float = 10.0,
    runs_max: int = 5_000,
    is_enough: Callable[[], bool] = lambda: False,
) -> Shrunk:
    """Make a failing run smaller, as long as it fails in the same way and neither time nor runs are used up.

    The same way means: the same invariant, broken by the same code and with the same kind of error, if those are known.
    `is_enough` is called before each run; returning True ends the search with the smallest run so far.
    """
    if failed.violation is None:
        raise ValueError("a run in which every invariant holds cannot be shrunk")
    search = _Search(scenario, failed, within_s, runs_max, is_enough)
    search.run()
    return search.found()


class _Exhausted(Exception):
    """Time or runs are used up, or the caller ended the search."""


class _Search:
    def __init__(
        self, scenario: Scenario, failed: Outcome, within_s: float, runs_max: int, is_enough: Callable[[], bool]
    ) -> None:
        self._scenario = scenario
        self._way = _way(failed)
        self._failed = failed
        self._best = failed
        self._last = failed
        self._known = {one.name for one in failed.operations}
        self._held: set[Any] = set()
        self._runs = 0
        self._runs_max = runs_max
        self._is_enough = is_enough
        self._started_s = time.monotonic()
        self._end_s = self._started_s + within_s
        self._is_smallest = False
        self._may_leave_out = True
        # A run without faults: whatever breaks an invariant in it does so without any fault.
        self._breaks_by_itself = False

    def run(self) -> None:
        try:
            self._try(only=frozenset(self._best.faults))
            self._simplify()
            self._learn_to_leave_out()
            self._from_below(_GLANCE_RUNS)
            if not _is_short(self._best):
                self._with_one_fault(_LOOK_RUNS)
            self._from_above()
            if self._from_below(_LOOK_RUNS):
                self._from_above()
            if not _is_short(self._best) and (self._with_one_fault(self._runs_max) or self._with_two_faults()):
                self._from_above()
        except _Exhausted:
            pass

    def found(self) -> Shrunk:
        """Return the smallest run, or the original one if the smallest does not fail again in the same way."""
        again = run(self._scenario, self._best.wish)
        if _way(again) != self._way or again.fingerprint() != self._best.fingerprint():
            self._best, self._is_smallest = self._failed, False
        elapsed_s = time.monotonic() - self._started_s
        return Shrunk(self._best.wish, self._best, self._runs, elapsed_s, self._is_smallest)

    # --- what may be left out -------------------------------------------------------------------------------------

    def _learn_to_leave_out(self) -> None:
        """Find out how a left-out command affects an invariant that the scenario itself defines.

        Such an invariant may depend on a command: a scenario that counts what it sent, or waits for a result, breaks it
        when the command is left out, without any bug. So if the invariant does not hold when nothing is sent, runs with
        left-out commands prove nothing. Usually the scenario may continue after a left-out command; otherwise the task
        that would send it ends there, which leaves out more.
        """
        if not self._is_stated():
            self._best = msgspec.structs.replace(
                self._best, wish=msgspec.structs.replace(self._best.wish, goes_on=True)
            )
            return
        plain: dict[str, Any] = {"only": frozenset(), "reorder": False, "crash_at": None}
        self._breaks_by_itself = self._fails(**plain)
        asked = frozenset(_names(self._best))
        for goes_on in (True, False):
            ways_out = (asked, asked.union(_names(self._best, in_calm=True)))
            if not any(self._fails(leave_out=one, goes_on=goes_on, **plain) for one in ways_out):
                self._best = msgspec.structs.replace(
                    self._best, wish=msgspec.structs.replace(self._best.wish, goes_on=goes_on)
                )
                return
        self._may_leave_out = False

    def _is_stated(self) -> bool:
        """Return whether the scenario defines the invariant: it states it, or the scenario itself failed."""
        violation = self._failed.violation
        assert violation is not None
        return violation.is_stated

    def _is_caused(self, wish: Wish) -> bool:
        """Return whether the faults cause the failure, not what was left out: without the faults, the run passes."""
        if not self._is_stated() or self._breaks_by_itself or not wish.leave_out:
            return True
        plain = msgspec.structs.replace(wish, only=frozenset(), reorder=False, crash_at=None, remember=False)
        return not self._breaks(self._run(plain))

    # --- what is tried --------------------------------------------------------------------------------------------

    def _from_above(self) -> None:
        """Leave out whatever can be left out, until no single thing can."""
        self._is_smallest = False
        self._try(remember=False)
        before = None
        while before != (before := _size(self._best)):
            self._simplify()
            self._reduce(lambda: self._best.faults, lambda kept: self._is_smaller(only=frozenset(kept)))
            self._reduce(
                lambda: _names(self._best), lambda kept: self._with([*kept, *_names(self._best, in_calm=True)])
            )
            self._reduce(
                lambda: _names(self._best, in_calm=True), lambda kept: self._with([*_names(self._best), *kept])
            )
        self._is_smallest = True

    def _simplify(self) -> None:
        """Try the natural order of tasks, the default limits and no crash; then check more closely."""
        wish = self._best.wish
        if wish.reorder:
            self._try(reorder=False)
        if wish.faults.vary_settings:
            self._try(faults=msgspec.structs.replace(wish.faults, vary_settings=False))
        if wish.crash_at is not None:
            self._try(crash_at=None)
        if not wish.look_closely:
            self._try(look_closely=True)
        if not wish.invariant:  # another invariant, broken earlier, would end the run
            self._try(invariant=self._way[0])

    def _reduce(self, there: Callable[[], Sequence[T]], fails_with: Callable[[Sequence[T]], bool]) -> None:
        """Keep nothing, or one part, if that suffices; otherwise leave out half of the list, down to single parts."""
        if not there() or fails_with([]):
            return
        if len(there()) > 2 and any(fails_with([one]) for one in there()):
            return
        size = len(there()) // 2
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

    def _from_below(self, runs: int) -> bool:
        """Search for few commands that fail alone, or with one fault that affects them, of a kind that occurred."""
        in_calm = [one for one in self._failed.operations if one.in_calm and not one.left_out]
        sent = [one for one in self._best.operations if not one.in_calm and not one.left_out]
        runs_max = self._runs + runs
        for count in range(_COMMANDS_FROM_BELOW + 1):
            for kept in combinations(sent, count):
                names = [one.name for one in (*kept, *in_calm)]
                if count < _parts(self._best) and self._with(names, only=frozenset(), remember=True):
                    return True
                targets = {one.command.to for one in (kept or in_calm)}
                for fault in self._places(targets) if count + 1 < _parts(self._best) else ():
                    if self._runs >= runs_max:
                        return False
                    if self._with(names, only=frozenset([fault])):
                        return True
        return False

    def _places(self, targets: Collection[str]) -> list[FaultId]:
        """Return where faults can affect the given aggregates or a process in the last run; likely kinds first."""
        needed = {fault.kind for fault in self._best.faults}
        kinds = needed | {fault.kind for fault in self._failed.faults}
        found = [
            fault
            for fault in possible_faults(self._last)
            if fault.kind in kinds and (fault.site.startswith(_OF_PROCESSES) or any(to in fault.site for to in targets))
        ]
        return sorted(found, key=lambda fault: fault.kind not in needed)

    def _with_one_fault(self, runs: int) -> bool:
        """Search for few commands that fail with one fault of any kind, anywhere."""
        if not self._may_leave_out:
            return False
        runs_max = self._runs + runs
        kinds = {fault.kind for fault in self._failed.faults}
        for some_kinds in (kinds, self._failed.wish.faults.rates.keys() - kinds):
            for names in self._few_commands():
                for fault in self._places_with(names, frozenset(), some_kinds):
                    if self._runs >= runs_max:
                        return False
                    if self._with(names, only=frozenset([fault])):
                        return True
        return False

    def _few_commands(self) -> Iterator[list[str]]:
        in_calm = [one.name for one in self._failed.operations if one.in_calm and not one.left_out]
        sent = [one.name for one in self._best.operations if not one.in_calm and not one.left_out]
        for count in range(1, _COMMANDS_FROM_BELOW + 1):
            for kept in combinations(sent, count):
                yield [*kept, *in_calm]

    def _with_two_faults(self) -> bool:
        """Search for few commands that fail with two faults of the kinds that occurred."""
        kinds = {fault.kind for fault in self._failed.faults}
        if self._may_leave_out:
            for names in self._few_commands():
                for first in self._places_with(names, frozenset(), kinds):
                    for second in self._places_with(names, frozenset([first]), kinds):
                        if second != first and self._with(names, only=frozenset([first, second])):
                            return True
        return False

    def _places_with(self, names: Collection[str], only: frozenset[FaultId], kinds: Collection[Kind]) -> list[FaultId]:
        """Return where faults of some kinds can happen while these commands are sent and these faults happen."""
        left_out = frozenset(self._known.difference(names))
        outcome = self._run(msgspec.structs.replace(self._best.wish, leave_out=left_out, only=only, remember=True))
        self._known.update(one.name for one in outcome.operations)
        found = [fault for fault in possible_faults(outcome) if fault.kind in kinds]
        # The first occasion of each site is the most informative one.
        return sorted(found, key=lambda fault: fault.occurrence)

    # --- how ------------------------------------------------------------------------------------------------------

    def _with(self, kept: Collection[str], **changes: Any) -> bool:
        """Try sending only these commands; those sent after the failure are left out as well."""
        while self._may_leave_out:
            known = len(self._known)
            if self._is_smaller(leave_out=frozenset(self._known.difference(kept)), **changes):
                return True
            if len(self._known) == known:
                return False
        return False

    def _is_smaller(self, **changes: Any) -> bool:
        return self._try(lambda outcome: _size(outcome) < _size(self._best), **changes)

    def _try(self, is_better: Callable[[Outcome], bool] = lambda outcome: True, **changes: Any) -> bool:
        """Run with a changed wish; keep it if the run fails in the same way and is better."""
        wish = msgspec.structs.replace(self._best.wish, **changes)
        key = (*(getattr(wish, field) for field in _VARIED), wish.faults.vary_settings)
        if key in self._held and not wish.remember:
            return False
        outcome = self._last = self._run(wish)
        self._known.update(one.name for one in outcome.operations)
        if _way(outcome) != self._way or not is_better(outcome) or not self._is_caused(wish):
            self._held.add(key)
            return False
        self._best = outcome
        return True

    def _fails(self, **changes: Any) -> bool:
        """Run with the best wish changed, and return whether that breaks the invariant at all; keep nothing of it."""
        return self._breaks(self._run(msgspec.structs.replace(self._best.wish, **changes)))

    def _breaks(self, outcome: Outcome) -> bool:
        return outcome.violation is not None and outcome.violation.invariant == self._way[0]

    def _run(self, wish: Wish) -> Outcome:
        if self._runs >= self._runs_max or time.monotonic() >= self._end_s or self._is_enough():
            raise _Exhausted
        self._runs += 1
        return run(self._scenario, wish, steps_max=self._best.steps * _LONGER + _LONGER_STEPS)


def _way(outcome: Outcome) -> tuple[str, str, str]:
    """Return the way in which a run failed: the invariant, the culprit, and the kind of error, if there was one."""
    violation = outcome.violation
    if violation is None:
        return "", "", ""
    kind, colon, _ = violation.actual.partition(":")
    return violation.invariant, violation.culprit, kind if colon and kind.isidentifier() else ""


def _names(outcome: Outcome, *, in_calm: bool = False) -> list[str]:
    """Return the names of the commands sent, or of those sent in calm for setup, in order."""
    return [one.name for one in outcome.operations if not one.left_out and one.in_calm is in_calm]


def _is_short(outcome: Outcome) -> bool:
    return len(outcome.faults) <= _SHORT and len(_names(outcome)) <= _SHORT


def _parts(outcome: Outcome) -> int:
    return len(outcome.faults) + len(_names(outcome))


def _size(outcome: Outcome) -> tuple[int, int]:
    return _parts(outcome), len(_names(outcome, in_calm=True))
