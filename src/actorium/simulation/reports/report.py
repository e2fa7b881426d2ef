"""`CampaignReport`: what a call of `actorium simulate` found, as data: written as JSON, shown as a page."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version

import msgspec

from actorium.simulation.record.trace import TraceLine
from actorium.simulation.reports.story import story, token_of
from actorium.simulation.reports.verdict import Failure, Verdict
from actorium.simulation.search.campaign import SeedResult
from actorium.simulation.words import counted, per_minute
from actorium.simulation.world.faults import Kind
from actorium.simulation.world.world import Violation

VERSION = 1


class FailureReport(msgspec.Struct, frozen=True, kw_only=True):
    """A broken invariant: as the seed has it (`story`, `violation`), and as small as it got (`smallest`, `found`).

    replay, replay_smallest: what to type to see either step by step. shrink_runs, shrink_s: what the smallest took;
    is_smallest: nothing more could be left out of it. trace: that of the smallest run.
    """

    seed: int
    violation: Violation
    story: str
    replay: str
    smallest: str
    found: Violation
    replay_smallest: str
    shrink_runs: int
    shrink_s: float
    is_smallest: bool
    trace: tuple[TraceLine, ...]

    @property
    def how_shrunk(self) -> str:
        """In words: what the smallest took, and whether it is."""
        size = "nothing more can be left out" if self.is_smallest else "time gave out: it may be smaller still"
        return f"in {counted(self.shrink_runs, 'run')}, {self.shrink_s:.1f} s; {size}"


class SimulationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the seeds of one simulation came to. elapsed_s is real time, simulated_s that of the worlds' clocks.

    unrepeatable: a seed that broke an invariant and took another course when it was run again. audit: what to type to
    find out why.
    """

    name: str
    file: str
    store: str
    jobs: int
    first_seed: int
    seeds: int
    seeds_per_minute: int
    elapsed_s: float
    simulated_s: float
    steps: int
    events: int
    operations: int
    faults: dict[Kind, int]
    is_cut_short: bool
    audit: str
    failure: FailureReport | None
    unrepeatable: SeedResult | None = None

    @property
    def is_good(self) -> bool:
        """Whether every invariant held."""
        return self.failure is None and self.unrepeatable is None


class CampaignReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `version` is that of this form, which another reader can hold on to."""

    version: int = VERSION
    actorium: str
    python: str
    simulations: list[SimulationReport]


def report_of(simulations: list[SimulationReport]) -> CampaignReport:
    """Return the report of what was run in this process."""
    return CampaignReport(
        actorium=installed_version("actorium"), python=platform.python_version(), simulations=simulations
    )


def simulation_report(verdict: Verdict, *, file: str, command: str) -> SimulationReport:
    """Return the report of one verdict; `command` is what runs this simulation, without the choice of seeds."""
    tally = verdict.tally
    return SimulationReport(
        name=verdict.name,
        file=file,
        store=verdict.store,
        jobs=verdict.jobs,
        first_seed=verdict.first,
        seeds=tally.seeds,
        seeds_per_minute=per_minute(tally.seeds, tally.elapsed_s),
        elapsed_s=tally.elapsed_s,
        simulated_s=tally.simulated_s,
        steps=tally.steps,
        events=tally.events,
        operations=tally.operations,
        faults=dict(tally.faults.most_common()),
        is_cut_short=tally.is_cut_short,
        audit=f"{command} --audit",
        failure=None if verdict.failure is None else failure_report(verdict.failure, command),
        unrepeatable=verdict.unrepeatable,
    )


def failure_report(failure: Failure, command: str) -> FailureReport:
    """Return the report of a failure."""
    seen, smallest = failure.outcome, failure.shrunk.outcome
    assert seen.violation is not None
    assert smallest.violation is not None
    return FailureReport(
        seed=seen.wish.seed,
        violation=seen.violation,
        story=story(seen),
        replay=f"{command} --replay {seen.wish.seed}",
        smallest=story(smallest),
        found=smallest.violation,
        replay_smallest=f"{command} --story {token_of(smallest.wish)}",
        shrink_runs=failure.shrunk.runs,
        shrink_s=failure.shrunk.elapsed_s,
        is_smallest=failure.shrunk.is_smallest,
        trace=smallest.trace,
    )
