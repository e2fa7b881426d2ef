"""`page`: the report and the timeline of a run as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actorium.pages.render import render
from actorium.simulation.record.violation import Violation
from actorium.simulation.reports.drawing import Drawing, draw
from actorium.simulation.reports.report import CampaignReport, FailureReport, SimulationReport
from actorium.simulation.reports.story import story
from actorium.simulation.reports.timeline import timeline
from actorium.simulation.search.run import Outcome
from actorium.simulation.words import duration
from actorium.store.wording import counted

_SHARE_PX = 120


class _FaultKind(NamedTuple):
    """How often a kind of fault happened; `share_px` is the length of its bar."""

    name: str
    number: str
    share_px: int


class _Part(NamedTuple):
    """The part of the page about one simulation."""

    name: str
    violation: Violation | None
    failure: FailureReport | None
    shrink_runs: str
    figures: Sequence[tuple[str, str]]
    faults_heading: str
    faults: Sequence[_FaultKind]
    story: str
    drawing: Drawing


def page(outcomes: Sequence[Outcome], names: Sequence[str], report: CampaignReport | None = None) -> str:
    """Return the page about some runs, each with its simulation's name, and the report on a campaign, if given."""
    reports: Sequence[SimulationReport | None] = report.simulations if report else [None] * len(outcomes)
    return render(
        __package__,
        "page.html",
        made_with=f"Actorium {report.actorium}, Python {report.python}" if report else "",
        simulations=[_part(name, run, one) for name, run, one in zip(names, outcomes, reports, strict=True)],
    )


def _part(name: str, outcome: Outcome, report: SimulationReport | None) -> _Part:
    failure = None if report is None else report.failure
    kinds = outcome.by_kind if report is None else report.faults
    of = "in this run" if report is None else "in all seeds"
    return _Part(
        name=name,
        violation=outcome.violation,
        failure=failure,
        shrink_runs="" if failure is None else counted(failure.shrink_runs, "run"),
        figures=[] if report is None else _figures(report),
        faults_heading=f"{counted(sum(kinds.values()), 'fault')} {of}",
        faults=[
            _FaultKind(str(kind), f"{count:,}", max(1, round(_SHARE_PX * count / max(kinds.values()))))
            for kind, count in sorted(kinds.items(), key=lambda one: -one[1])
            if any(kinds.values())
        ],
        story=story(outcome),
        drawing=draw(timeline(outcome), outcome),
    )


def _figures(report: SimulationReport) -> Sequence[tuple[str, str]]:
    return (
        ("seeds", f"{report.seeds:,}, from {report.first_seed}"),
        ("seeds per minute", f"{report.seeds_per_minute:,}"),
        ("real time", duration(report.elapsed_s)),
        ("simulated time", duration(report.simulated_s)),
        ("commands", f"{report.operations:,}"),
        ("events", f"{report.events:,}"),
        ("steps", f"{report.steps:,}"),
        ("store", report.store),
    )
