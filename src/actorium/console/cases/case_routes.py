"""The routes of cases in a console's API."""

from __future__ import annotations

import msgspec

from actorium.console.api.route import Answer, Route, reading
from actorium.console.cases import forms
from actorium.console.cases.case_actions import CaseActions
from actorium.console.cases.case_reader import CaseReader
from actorium.corrections.cases.report import CaseReport


def case_routes(reader: CaseReader, actions: CaseActions) -> list[Route]:
    """Return the routes of cases."""
    f = forms

    def get(path: str, says: str, wanted: type[msgspec.Struct], answered: type, answer: Answer) -> Route:
        return Route("GET", path, says, "view", wanted, answered, answer)

    def post(path: str, wanted: type[msgspec.Struct], answer: Answer) -> Route:
        says = (answer.__doc__ or "").rstrip(".")
        return Route("POST", path, says, "correct", wanted, f.CaseActed, answer)

    return [
        get("/api/impact", "What some events touched", f.SelectionQuery, f.ImpactView, reading(reader.impact)),
        get("/api/cases", "Correction cases", f.CasesQuery, f.CasePage, reading(reader.page)),
        get("/api/case", "A correction case", f.CaseQuery, f.CaseView, reading(reader.case)),
        get("/api/case/impact", "What its events touched", f.CaseQuery, f.ImpactView, reading(reader.impact_of)),
        get("/api/case/report", "The report on a case", f.CaseQuery, CaseReport, reading(reader.report)),
        post("/api/cases/open", f.CaseOpening, actions.open),
        post("/api/cases/plan", f.CasePlanning, actions.plan),
        post("/api/cases/dry-run", f.CaseAction, actions.dry_run),
        post("/api/cases/approve", f.CaseAction, actions.approve),
        post("/api/cases/apply", f.CaseAction, actions.apply),
        post("/api/cases/settle", f.SagaSettling, actions.settle),
        post("/api/cases/close", f.CaseAction, actions.close),
        post("/api/cases/cancel", f.CaseAction, actions.cancel),
    ]
