"""`case_page`: the report on a case as one self-contained HTML page."""

from __future__ import annotations

from datetime import UTC, datetime

from actorium.corrections.cases.report import CaseReport, CaseStep
from actorium.pages.render import render


def case_page(report: CaseReport) -> str:
    """Return the page of a case."""
    return render(
        __package__,
        "case.html",
        report=report,
        facts_=[
            ("status", report.status),
            ("opened by", report.opened_by),
            ("reason", report.reason),
            ("approved by", report.approved_by),
            ("closed by", report.closed_by),
            ("events", f"{len(report.events):,}"),
        ],
        impact=[(name, f"{number:,}") for name, number in report.impact.items() if number],
        corrected=[(name, f"{number:,}") for name, number in report.corrected.items() if number],
        refused=[(one.event, one.error) for one in report.refused],
        repaired=[(name, "rebuilt" if rows < 0 else f"{rows:,} rows") for name, rows in report.repaired.items()],
        rerun=[(name, f"{len(outcomes):,} events") for name, outcomes in report.rerun.items()],
        failed_reruns=report.failed_reruns,
        sagas=list(report.sagas.items()),
        steps=[(_time(one), one.type, f"{one.position:,}") for one in report.steps],
    )


def _time(step: CaseStep) -> str:
    return f"{datetime.fromtimestamp(step.recorded_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
