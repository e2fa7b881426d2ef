"""`Verdict`: what many seeds of one simulation came to, with the first failure made as small as it gets."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actorium.simulation.campaign import Tally, campaign
from actorium.simulation.decorator import Simulation
from actorium.simulation.faults import Faults
from actorium.simulation.place import Place, simulation_of
from actorium.simulation.run import Outcome, Wish, run
from actorium.simulation.shrink import Shrunk, shrink


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A run that broke an invariant: as its seed has it, and the smallest one that breaks the same invariant."""

    outcome: Outcome
    shrunk: Shrunk


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the seeds of one simulation came to; `failure` is None where every invariant held."""

    name: str
    first: int
    jobs: int
    store: str
    faults: Faults
    tally: Tally
    failure: Failure | None


def judge(
    where: Place | Simulation,
    *,
    seeds: int | None = None,
    first: int = 0,
    minutes: float | None = None,
    jobs: int = 1,
    faults: Faults | None = None,
    store: str = "memory",
    shrink_s: float = 10.0,
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Verdict:
    """Run seeds until there are enough or one fails, and shrink that one for up to `shrink_s` seconds of real time.

    The other parameters are those of `campaign`.
    """
    simulation = simulation_of(where, jobs)
    used = simulation.faults if faults is None else faults
    tally = campaign(
        where, seeds=seeds, first=first, minutes=minutes, jobs=jobs, faults=used, store=store, progress=progress
    )
    failure = None
    if tally.failures:
        outcome = run(simulation.scenario, Wish(seed=tally.failures[0].seed, faults=used, store=store))
        failure = Failure(outcome=outcome, shrunk=shrink(simulation.scenario, outcome, within_s=shrink_s))
    return Verdict(name=simulation.name, first=first, jobs=jobs, store=store, faults=used, tally=tally, failure=failure)


def shown_run(verdict: Verdict, simulation: Simulation) -> Outcome:
    """Return the run that shows best what a verdict is about: the smallest failure, or else the first seed."""
    if verdict.failure is not None:
        return verdict.failure.shrunk.outcome
    return run(simulation.scenario, Wish(seed=verdict.first, faults=verdict.faults, store=verdict.store))
