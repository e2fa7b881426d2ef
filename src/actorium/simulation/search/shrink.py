"""`shrink`: find the smallest run that fails in the same way: fewest faults, fewest commands, plainest order.

Random draws are made by name, not in sequence, so leaving something out changes no other draw. A smaller run is
requested by the faults that are to happen and the commands that are not to be sent, and delta debugging (Zeller,
Hildebrandt 2002) reduces both, from above. Fewer commands lead to fewer occasions: a fault that is not reached any more
is moved to an earlier occasion at its site. What that misses is searched from below: one or two of the commands, alone
or with one fault, of a kind that occurred or any other, at every place. Setup commands are left out last and do not
count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import combinations
from typing import Any, TypeVar

import msgspec

from actorium.simulation.search.exhaustive import possible_faults
from actorium.simulation.search.fault_places import moved, ordinary_kinds
from actorium.simulation.search.run import Outcome, RunOptions, Scenario, run
from actorium.simulation.world.faults import FaultId

T = TypeVar("T")

# A run that takes this many times the steps of the failing one does not fail in the same way.
_LONGER = 3
_LONGER_STEPS = 2_000
_ENDLESS = 20  # and a run that takes this many times the steps of one without faults counts as endless
_FEW = 8  # of so few things, each is tried alone before halves of them are left out
_LOOK_RUNS = 100  # of the first search from below
_SHORT = 2  # with this many commands and faults, the search from below ends early
_PLAIN: dict[str, Any] = {"only": frozenset(), "reorder": False, "crash_at": None}
_VARIED = ("steps_max", "only", "leave_out", "goes_on", "crash_at", "reorder", "look_closely", "invariant")


class Shrunk(msgspec.Struct, frozen=True):
    """The smallest failing run found: its options and outcome; `runs` were tried in `elapsed_s` of real time.

    is_smallest: nothing more can be left out; False if the search ran out of time or runs.
    """

    options: RunOptions
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
    is_repeatable: bool = True,
) -> Shrunk:
    """Make a failing run smaller, as long as it fails in the same way and neither time nor runs are used up.

    The same way means: the same invariant, broken by the same code and with the same kind of error, if those are known.
    `is_enough` is called before each run; returning True ends the search with the smallest run so far. With
    `is_repeatable`, the smallest run must also have the same trace when it is run again.
    """
    if failed.violation is None:
        raise ValueError("a run in which every invariant holds cannot be shrunk")
    search = _Search(scenario, failed, within_s, runs_max, is_enough)
    search.run()
    return search.found(is_repeatable)


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
        self._last: Outcome | None = None  # of the last options tried, unless they were known not to fail
        self._known = {one.name for one in failed.operations}
        self._held: set[Any] = set()
        self._possible: dict[tuple[frozenset[str], frozenset[FaultId]], list[FaultId]] = {}
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
            if self._best.steps >= self._best.options.steps_max:
                self._limit_steps()
            self._try(only=frozenset(self._best.faults), remember=True)
            self._simplify()
            self._learn_to_leave_out()
            self._from_above()
            if self._from_below(_LOOK_RUNS):
                self._from_above()
            if not _is_short(self._best) and (self._from_below(self._runs_max) or self._with_two_faults()):
                self._from_above()
        except _Exhausted:
            pass

    def found(self, is_repeatable: bool) -> Shrunk:
        """Return the smallest run, or the original one if the smallest does not fail again in the same way."""
        found = run(self._scenario, msgspec.structs.replace(self._best.options, remember=False))
        is_same = not is_repeatable or found.fingerprint() == self._best.fingerprint()
        if _way(found) != self._way or not is_same:
            found, self._is_smallest = self._failed, False
        elapsed_s = time.monotonic() - self._started_s
        return Shrunk(found.options, found, self._runs, elapsed_s, self._is_smallest)

    def _limit_steps(self) -> None:
        """Allow a run that never ends far fewer steps, but many times those of a run without faults."""
        plain = self._run(msgspec.structs.replace(self._best.options, **_PLAIN))
        self._try(steps_max=min(self._best.options.steps_max, plain.steps * _ENDLESS + _LONGER_STEPS))

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
                self._best, options=msgspec.structs.replace(self._best.options, goes_on=True)
            )
            return
        self._breaks_by_itself = self._fails(**_PLAIN)
        asked = frozenset(_names(self._best))
        for goes_on in (True, False):
            ways_out = (asked, asked.union(_names(self._best, in_calm=True)))
            if not any(self._fails(leave_out=one, goes_on=goes_on, **_PLAIN) for one in ways_out):
                self._best = msgspec.structs.replace(
                    self._best, options=msgspec.structs.replace(self._best.options, goes_on=goes_on)
                )
                return
        self._may_leave_out = False

    def _is_stated(self) -> bool:
        """Return whether the scenario defines the invariant: it states it, or the scenario itself failed."""
        violation = self._failed.violation
        assert violation is not None
        return violation.is_stated

    def _is_caused(self, options: RunOptions) -> bool:
        """Return whether the faults cause the failure, not what was left out: without the faults, the run passes."""
        if not self._is_stated() or self._breaks_by_itself or not options.leave_out:
            return True
        return not self._breaks(self._run(msgspec.structs.replace(options, **_PLAIN)))

    # --- what is tried --------------------------------------------------------------------------------------------

    def _from_above(self) -> None:
        """Leave out whatever can be left out, until no single thing can."""
        self._is_smallest = False
        before = None
        while before != (before := _size(self._best)):
            self._simplify()
            self._reduce(lambda: self._best.faults, lambda kept: self._is_smaller(only=frozenset(kept)))
            self._reduce(
                lambda: _names(self._best), lambda kept: self._with_moved([*kept, *_names(self._best, in_calm=True)])
            )
            self._reduce(
                lambda: _names(self._best, in_calm=True), lambda kept: self._with_moved([*_names(self._best), *kept])
            )
        self._is_smallest = True

    def _simplify(self) -> None:
        """Try the natural order of tasks, the default limits and no crash; then check more closely.

        Only the invariant counts: another one, broken earlier, would end the run.
        """
        options = self._best.options
        simpler: dict[str, Any] = {
            "reorder": False,
            "faults": msgspec.structs.replace(options.faults, vary_settings=False),
            "crash_at": None,
            "look_closely": True,
            "invariant": self._way[0],
        }
        changes = {name: value for name, value in simpler.items() if getattr(options, name) != value}
        if changes and not self._try(**changes) and len(changes) > 1:
            for name, value in changes.items():
                self._try(**{name: value})

    def _reduce(self, there: Callable[[], Sequence[T]], fails_with: Callable[[Sequence[T]], bool]) -> None:
        """Keep nothing, or one of a few, if that suffices; otherwise leave out half of the list, then smaller parts."""
        if not there() or fails_with([]):
            return
        if 2 < len(there()) <= _FEW and any(fails_with([one]) for one in there()):
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
        """Search for few commands that fail alone or with one fault."""
        runs_max = self._runs + runs
        for names, faults in self._few_commands_and_a_fault() if self._may_leave_out else ():
            if self._runs >= runs_max:
                return False
            if self._with(names, only=faults):
                return True
        return False

    def _few_commands_and_a_fault(self) -> Iterator[tuple[list[str], frozenset[FaultId]]]:
        """Yield what to send and which fault is to happen, if that is less than the best so far; likely ones first."""
        best, parts = self._best, _parts(self._best)
        sent = [one for one in best.operations if not one.in_calm and not one.left_out]
        alone = [[one.name] for one in sent]
        first_of_a_type = [[one.name] for one in {type(one.command): one for one in reversed(sent)}.values()]
        every = [[], *alone, *([one.name, other.name] for one, other in combinations(sent, 2))]
        set_up = [one.name for one in self._failed.operations if one.in_calm and not one.left_out]
        if not best.faults:  # otherwise the faults are needed
            yield from (([*few, *set_up], frozenset()) for few in every if len(few) < parts)
        needed, sites = ordinary_kinds(best.faults), {fault.site for fault in best.faults}
        happened = ordinary_kinds(self._failed.faults)
        likely_first: tuple[tuple[list[list[str]], Callable[[FaultId], bool]], ...] = (
            ([[], *alone], lambda fault: fault.kind in needed and fault.site in sites),
            ([[], *first_of_a_type], lambda fault: fault.kind in happened),
            ([[], *first_of_a_type], lambda fault: True),
            (every, lambda fault: fault.kind in needed),
            (every, lambda fault: fault.kind in happened),
            (every, lambda fault: True),
        )
        for some, is_likely in likely_first:
            for few in some:
                names = [*few, *set_up]
                for fault in self._places(names) if len(few) + 1 < parts else ():
                    if is_likely(fault):
                        yield names, frozenset([fault])

    def _with_two_faults(self) -> bool:
        """Search for few commands that fail with two faults of the kinds that occurred."""
        kinds = ordinary_kinds(self._failed.faults)
        sent, set_up = _names(self._best), _names(self._failed, in_calm=True)
        few_commands = [few for count in (1, 2) for few in combinations(sent, count)] if self._may_leave_out else []
        for few in few_commands:
            names = [*few, *set_up]
            for first in self._places(names):
                for second in self._places(names, first) if first.kind in kinds else ():
                    both = frozenset([first, second])
                    if len(both) == 2 and second.kind in kinds and self._with(names, only=both):
                        return True
        return False

    def _places(self, names: Collection[str], *faults: FaultId) -> list[FaultId]:
        """Return where a fault can happen while these commands are sent and these faults happen, best places first."""
        left_out, only = frozenset(self._known.difference(names)), frozenset(faults)
        found = self._possible.get((left_out, only))
        if found is None:
            outcome = self._run(msgspec.structs.replace(self._best.options, leave_out=left_out, only=only))
            self._known.update(one.name for one in outcome.operations)
            found = self._remember_places(outcome)
        return found

    def _remember_places(self, outcome: Outcome) -> list[FaultId]:
        # The first occasion of each site is the most informative one.
        found = sorted(possible_faults(outcome), key=lambda fault: fault.occurrence)
        self._possible[outcome.options.leave_out, frozenset(outcome.faults)] = found
        return found

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

    def _with_moved(self, kept: Collection[str]) -> bool:
        """Try sending only these commands, with the faults moved that are not reached any more."""
        if self._with(kept):
            return True
        return self._last is not None and any(self._with(kept, only=faults) for faults in moved(self._last))

    def _is_smaller(self, **changes: Any) -> bool:
        return self._try(lambda outcome: _size(outcome) < _size(self._best), **changes)

    def _try(self, is_better: Callable[[Outcome], bool] = lambda outcome: True, **changes: Any) -> bool:
        """Run with some options changed; keep them if the run fails in the same way and is better."""
        options = msgspec.structs.replace(self._best.options, **changes)
        key = (*(getattr(options, field) for field in _VARIED), options.faults.vary_settings)
        if key in self._held:
            self._last = None
            return False
        outcome = self._last = self._run(options)
        self._known.update(one.name for one in outcome.operations)
        if _way(outcome) != self._way or not is_better(outcome) or not self._is_caused(options):
            self._held.add(key)
            if not outcome.faults:
                self._remember_places(outcome)
            return False
        self._best = outcome
        return True

    def _fails(self, **changes: Any) -> bool:
        """Run with some of the best options changed and return whether that breaks the invariant; keep none of it."""
        return self._breaks(self._run(msgspec.structs.replace(self._best.options, **changes)))

    def _breaks(self, outcome: Outcome) -> bool:
        return outcome.violation is not None and outcome.violation.invariant == self._way[0]

    def _run(self, options: RunOptions) -> Outcome:
        if self._runs >= self._runs_max or time.monotonic() >= self._end_s or self._is_enough():
            raise _Exhausted
        self._runs += 1
        return run(self._scenario, options, steps_max=self._best.steps * _LONGER + _LONGER_STEPS)


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
