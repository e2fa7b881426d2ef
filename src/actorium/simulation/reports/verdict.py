"""`Verdict`: the result of many seeds of one simulation, with the first failure shrunk."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actorium.simulation.checks.finding import UNSTEADY
from actorium.simulation.search.campaign import SeedResult, Tally, campaign
from actorium.simulation.search.decorator import Simulation
from actorium.simulation.search.interruption import interruption
from actorium.simulation.search.place import ScenarioPlace, simulation_of
from actorium.simulation.search.run import Outcome, RunOptions, run
from actorium.simulation.search.shrink import Shrunk, shrink
from actorium.simulation.world.faults import Faults

SHRINK_S = 10.0
"""The default limit for shrinking a failure, in seconds of real time."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A run that broke an invariant, and the smallest run found that breaks the same invariant.

    is_repeatable: whether a seed determines a run of this code. If not, this run shows which code differs each time.
    """

    outcome: Outcome
    shrunk: Shrunk
    is_repeatable: bool = True


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the seeds of one simulation; `failure` is None if every invariant held.

    unrepeatable: a seed that broke an invariant but behaved differently when it was run again, without a `failure`
        that shows why.
    """

    name: str
    first: int
    jobs: int
    store: str
    faults: Faults
    tally: Tally
    failure: Failure | None
    unrepeatable: SeedResult | None = None

    @property
    def is_good(self) -> bool:
        """Whether every invariant held."""
        return self.failure is None and self.unrepeatable is None


def judge(
    where: ScenarioPlace | Simulation,
    *,
    seeds: int | None = None,
    first: int = 0,
    minutes: float | None = None,
    jobs: int = 1,
    faults: Faults | None = None,
    store: str = "memory",
    shrink_s: float = SHRINK_S,
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Verdict:
    """Run seeds until all are done or one fails, and shrink that one for up to `shrink_s` seconds of real time.

    The other parameters are those of `campaign`. Ctrl-C also ends the shrinking, with the smallest run found so far.
    """
    simulation = simulation_of(where, jobs)
    used = simulation.faults if faults is None else faults
    tally = campaign(
        where, seeds=seeds, first=first, minutes=minutes, jobs=jobs, faults=used, store=store, progress=progress
    )
    failure = unrepeatable = None
    if tally.failures:
        first_failure = tally.failures[0]
        with interruption() as is_pressed:
            again = simulation.run(first_failure.seed, faults=used, store=store)
            # Asked in any case: two runs of code that draws random numbers may fail alike.
            is_endless = again.steps >= again.options.steps_max
            unsteady = None if is_endless else _run_of_unsteady_code(simulation, again.options)
            is_repeatable = unsteady is None and again.fingerprint() == first_failure.fingerprint
            outcome = again if is_repeatable else unsteady
            if outcome is None:
                unrepeatable = first_failure
            else:
                shrunk = shrink(
                    simulation.scenario,
                    outcome,
                    within_s=shrink_s,
                    is_enough=is_pressed,
                    is_repeatable=is_repeatable,
                )
                failure = Failure(outcome=outcome, shrunk=shrunk, is_repeatable=is_repeatable)
            tally.is_cut_short = tally.is_cut_short or is_pressed()
    return Verdict(
        name=simulation.name,
        first=first,
        jobs=jobs,
        store=store,
        faults=used,
        tally=tally,
        failure=failure,
        unrepeatable=unrepeatable,
    )


def _run_of_unsteady_code(simulation: Simulation, options: RunOptions) -> Outcome | None:
    """Return a run in which code gives another result for the same input; None if no such code is found."""
    for invariant in UNSTEADY:
        request = msgspec.structs.replace(options, invariant=invariant, look_closely=True)
        outcome = run(simulation.scenario, request)
        if outcome.violation is not None and run(simulation.scenario, request).fingerprint() != outcome.fingerprint():
            return outcome
    return None


def shown_run(verdict: Verdict, simulation: Simulation) -> Outcome:
    """Return the most informative run of a verdict: the smallest failure, or else the first seed."""
    if verdict.failure is not None:
        return verdict.failure.shrunk.outcome
    return simulation.run(verdict.first, faults=verdict.faults, store=verdict.store)
