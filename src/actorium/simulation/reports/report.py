"""`CampaignReport`: the result of one call of `actorium simulate` as data, for JSON and for the page."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version

import msgspec

from actorium.simulation.record.trace import TraceLine
from actorium.simulation.record.violation import Violation
from actorium.simulation.reports.story import story, token_of
from actorium.simulation.reports.verdict import Failure, Verdict
from actorium.simulation.search.campaign import SeedResult
from actorium.simulation.words import per_minute
from actorium.simulation.world.faults import Kind
from actorium.store.wording import counted

VERSION = 1


class FailureReport(msgspec.Struct, frozen=True, kw_only=True):
    """A broken invariant, as found (`story`, `violation`) and after shrinking (`smallest`, `found`).

    replay, replay_smallest: the commands that show either run step by step.
    shrink_runs, shrink_s: the cost of shrinking.
    is_smallest: nothing more can be left out.
    is_repeatable: a seed determines a run of this code; otherwise the runs differ in their details.
    trace: the trace of the smallest run.
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
    is_repeatable: bool
    trace: tuple[TraceLine, ...]

    @property
    def how_shrunk(self) -> str:
        """Describe the cost of shrinking and whether it finished."""
        size = "nothing more can be left out" if self.is_smallest else "stopped early: it may not be minimal"
        return f"in {counted(self.shrink_runs, 'run')}, {self.shrink_s:.1f} s; {size}"


class SimulationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the seeds of one simulation.

    elapsed_s is real time, simulated_s is time on the worlds' clocks.
    unrepeatable: a seed that broke an invariant but behaved differently when it was run again, if there is no
        `failure` that shows why.
    audit: the command that finds the cause.
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
    """The whole report; `version` is the version of this format, for other programs that read it."""

    version: int = VERSION
    actorium: str
    python: str
    simulations: list[SimulationReport]


def report_of(simulations: list[SimulationReport]) -> CampaignReport:
    """Return the report on the simulations run in this process."""
    return CampaignReport(
        actorium=installed_version("actorium"), python=platform.python_version(), simulations=simulations
    )


def simulation_report(verdict: Verdict, *, file: str, command: str) -> SimulationReport:
    """Return the report on one verdict; `command` runs this simulation, without options that choose seeds."""
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
    """Return the report on a failure."""
    seen, smallest = failure.outcome, failure.shrunk.outcome
    assert seen.violation is not None
    assert smallest.violation is not None
    return FailureReport(
        seed=seen.options.seed,
        violation=seen.violation,
        story=story(seen),
        replay=f"{command} --replay {seen.options.seed}",
        smallest=story(smallest),
        found=smallest.violation,
        replay_smallest=f"{command} --story {token_of(smallest.options)}",
        shrink_runs=failure.shrunk.runs,
        shrink_s=failure.shrunk.elapsed_s,
        is_smallest=failure.shrunk.is_smallest,
        is_repeatable=failure.is_repeatable,
        trace=smallest.trace,
    )
