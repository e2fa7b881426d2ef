"""`exhaust`: try every single fault of a scenario, and each of them with a crash at every step of the process.

A run without faults lists the occasions at which a fault can happen. Each fault is run alone. That run lists the steps
of the process, including the consequences of the fault, and the run is repeated with the process killed before each of
them. Steps between which nothing visible from outside happened (an incoming request, an outgoing answer, a commit that
began or was written, a fault) leave the same state behind when the process dies. They form one class, and one step of
each class is run, unless every step is requested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from actorium.simulation.record.violation import Violation
from actorium.simulation.search.campaign import collected_seldom
from actorium.simulation.search.decorator import Simulation
from actorium.simulation.search.interruption import interruption
from actorium.simulation.search.place import ScenarioPlace, simulation_of
from actorium.simulation.search.run import Outcome, RunOptions, run
from actorium.simulation.search.workers import spread
from actorium.simulation.world.faults import FAMILIES, HOSTILE, OF_CODE, CrashAt, FaultId, Faults


class Counterexample(msgspec.Struct, frozen=True):
    """A run that broke an invariant: the fault, the step at which the process was killed, or both."""

    fault: FaultId | None
    crash_at: CrashAt | None
    violation: Violation

    def options(self, simulation: Simulation, seed: int, store: str = "memory") -> RunOptions:
        """Return the options that repeat this run."""
        return _options(simulation, seed, store, self.fault, self.crash_at)


class Coverage(msgspec.Struct):
    """The progress: faults run so far (the run without a fault included) out of all; pairs of fault and crash step.

    steps: all steps of these runs.
    classes: the crashes that represent them. When the search is complete, `faults_run == faults` and every class was
        run.
    elapsed_s: real time.
    is_cut_short: the user pressed Ctrl-C.
    """

    faults: int
    faults_run: int = 0
    steps: int = 0
    classes: int = 0
    runs: int = 0
    failures: list[Counterexample] = []
    elapsed_s: float = 0.0
    is_cut_short: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether everything was run."""
        return self.faults_run == self.faults


class _Piece(msgspec.Struct, frozen=True):
    seed: int
    store: str
    every_step: bool
    fault: FaultId | None


class _Found(msgspec.Struct, frozen=True):
    steps: int
    classes: int
    runs: int
    failures: list[Counterexample]


def exhaust(
    where: ScenarioPlace | Simulation,
    *,
    seed: int = 0,
    jobs: int = 1,
    stop_after: int = 1,
    every_step: bool = False,
    store: str = "memory",
    progress: Callable[[Coverage], None] = lambda coverage: None,
) -> Coverage:
    """Run every single fault of a scenario with every crash step, in `jobs` processes (several need a ScenarioPlace).

    The search ends after `stop_after` runs that broke an invariant. `progress` is called with the coverage as it grows.
    The seed determines the amount of a fault (such as the length of a pause) and the scenario's choices.
    """
    simulation = simulation_of(where, jobs)
    started_s = time.monotonic()
    faults = [None, *possible_faults(run(simulation.scenario, _options(simulation, seed, store, None, None)))]
    coverage = Coverage(len(faults))
    pieces = (_Piece(seed, store, every_step, fault) for fault in faults)
    results = spread(where, jobs, _tried, pieces)
    try:
        with interruption() as is_pressed:
            for found in results:
                coverage.faults_run += 1
                coverage.steps += found.steps
                coverage.classes += found.classes
                coverage.runs += found.runs
                coverage.failures += found.failures
                coverage.elapsed_s = time.monotonic() - started_s
                progress(coverage)
                coverage.is_cut_short = is_pressed()
                if coverage.is_cut_short or len(coverage.failures) >= stop_after:
                    break
    except KeyboardInterrupt:
        coverage.is_cut_short = True
    finally:
        results.close()
    return coverage


def possible_faults(plain: Outcome) -> list[FaultId]:
    """Return each fault that can happen in the given run without faults, at its place; hostile faults are excluded.

    Of the errors that user code can raise, only the ordinary one is used: the runtime treats every kind the same.
    """
    return [
        FaultId(kind, site, occurrence)
        for family, site, occurrence in plain.occasions
        for kind in FAMILIES[family]
        if kind not in HOSTILE and kind not in OF_CODE
    ]


def crash_steps(outcome: Outcome, *, every_step: bool = False) -> Iterator[CrashAt]:
    """Yield one step for each class of crash steps that leave the same state behind, or every step."""
    marked: dict[tuple[str, int], set[int]] = {}
    for mark in outcome.marks:
        marked.setdefault((mark.node, mark.life), set()).add(mark.step)
    for node, life, last in outcome.lives:
        steps = range(1, last + 1)
        # The effects of a step are visible before the next one: a class begins there.
        begins = {1, *(step + 1 for step in marked.get((node, life), ()))}
        for step in steps if every_step else sorted(begins):
            if step <= last:
                yield CrashAt(node, life, step)


def _tried(simulation: Simulation, piece: _Piece) -> Iterator[_Found]:
    """Run one fault alone, and then with each crash."""
    failures: list[Counterexample] = []

    def tried(crash_at: CrashAt | None) -> Outcome:
        outcome = run(simulation.scenario, _options(simulation, piece.seed, piece.store, piece.fault, crash_at))
        if outcome.violation is not None:
            failures.append(Counterexample(piece.fault, crash_at, outcome.violation))
        return outcome

    with collected_seldom() as ran:
        alone = tried(None)
        crashes = list(crash_steps(alone, every_step=piece.every_step))
        for crash_at in crashes:
            tried(crash_at)
            ran()
    yield _Found(sum(life.step for life in alone.lives), len(crashes), 1 + len(crashes), failures)


def _options(
    simulation: Simulation, seed: int, store: str, fault: FaultId | None, crash_at: CrashAt | None
) -> RunOptions:
    return simulation.options(
        seed,
        faults=Faults.none(),
        only=frozenset() if fault is None else frozenset([fault]),
        crash_at=crash_at,
        reorder=False,
        remember=crash_at is None,
        store=store,
    )
