"""`CaseReader`: what a console shows of cases, and of what events touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from actorium.actors.errors import NotFound
from actorium.application import Runtime
from actorium.console.cases.forms import (
    LINES_MAX,
    CasePage,
    CaseQuery,
    CaseRow,
    CasesQuery,
    CaseView,
    CorrectionView,
    ImpactProjection,
    ImpactView,
    SelectionQuery,
)
from actorium.console.masking import Masking
from actorium.correction_case import CasePlanned, CorrectionCase
from actorium.corrections.cases.keeper import all_cases, case_of
from actorium.corrections.cases.report import CaseReport
from actorium.corrections.impact.report import Impact
from actorium.corrections.impact.selection import Selection
from actorium.store.codec import EventCodec
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import EventStore
from actorium.store.events import event_type_of
from actorium.store.names import StreamName


class CaseReader:
    """Reads the cases of a log; reports and impact need the running application.

    running: returns the running application, or raises NotRunning.
    """

    def __init__(self, store: EventStore, running: Callable[[], Runtime], masking: Masking) -> None:
        self._store = store
        self._running = running
        self._masking = masking
        self._codec = EventCodec(CorrectionCase.__definition__.evolvers)

    async def page(self, query: CasesQuery) -> CasePage:
        """Return a page of cases."""
        found: list[CaseRow] = []
        async for case in all_cases(self._store, self._codec, after=query.after):
            if query.status and case.status != query.status:
                continue
            if len(found) == query.limit:
                return CasePage(found, found[-1].id)
            found.append(CaseRow(case.id, case.status, len(case.events), case.opened_by, case.reason, case.approved_by))
        return CasePage(found, "")

    async def case(self, query: CaseQuery) -> CaseView:
        """Return a case; raise NotFound if there is none with this id."""
        case = await case_of(self._store, self._codec, query.id)
        if not case.status:
            raise NotFound(f"there is no case {query.id!r}")
        return self.view(case)

    def view(self, case: CorrectionCase) -> CaseView:
        """Return a case as it is shown."""
        is_masked = False
        corrections = []
        for one in case.corrections:
            values = {"right": msgspec.json.decode(one.right), "fields": msgspec.json.decode(one.fields)}
            shown, hides = self._masking.masked(event_type_of(CasePlanned), values)
            is_masked = is_masked or hides
            corrections.append(
                CorrectionView(one.event, one.stream_type, one.stream_id, shown["right"], one.command, shown["fields"])
            )
        return CaseView(
            case.id,
            case.status,
            case.opened_by,
            case.reason,
            case.approved_by,
            case.closed_by,
            case.events,
            case.held,
            corrections,
            case.marks,
            case.repairs,
            None if case.dry_run is None else dict(case.dry_run),
            case.outcomes,
            case.repaired,
            dict(case.reruns),
            {name: dict(outcomes) for name, outcomes in case.rerun.items()},
            dict(case.sagas),
            is_masked,
        )

    async def report(self, query: CaseQuery) -> CaseReport:
        """Return the report on a case, without the values that are hidden."""
        report = await self._running().corrections.report(query.id)
        steps = []
        for step in report.steps:
            content, _ = self._masking.masked(step.type, msgspec.json.decode(step.content))
            steps.append(msgspec.structs.replace(step, content=msgspec.Raw(msgspec.json.encode(content))))
        return msgspec.structs.replace(report, steps=steps)

    async def impact_of(self, query: CaseQuery) -> ImpactView:
        """Return what the events of a case touched."""
        return _impact_view(await self._running().corrections.impact_of(query.id))

    async def impact(self, query: SelectionQuery) -> ImpactView:
        """Return what some events touched."""
        return _impact_view(await self._running().corrections.impact(selection_of(query)))


def selection_of(query: SelectionQuery) -> Selection:
    """Return the selection that a request describes; raise InvalidCommand if it does not make sense."""
    if bool(query.stream_type) != bool(query.stream_id):
        raise InvalidCommand("a stream has a type and an id: give both")
    if query == SelectionQuery():
        raise InvalidCommand("a selection without a condition is the whole log: give events, a stream, types, …")
    return Selection(
        events=query.events,
        causes=query.causes,
        stream=StreamName(query.stream_type, query.stream_id) if query.stream_type else None,
        types=query.types,
        after=query.after,
        until=query.until or None,
        since=_time("since", query.since),
        before=_time("before", query.before),
        headers=dict(_header(one) for one in query.headers),
    )


def _time(name: str, text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidCommand(f"{name}: {error}") from error


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidCommand(f"headers: {text!r} is not name=value")
    return name, value


def _impact_view(impact: Impact) -> ImpactView:
    projections = [
        ImpactProjection(
            one.name,
            one.version,
            one.events,
            one.handled,
            sum(len(keys) for keys in one.rows.values()),
            one.statements,
            one.parked,
        )
        for one in impact.projections
    ]
    tree = list(impact.tree(LINES_MAX))
    followers, services = list(impact.followers), list(impact.services)
    return ImpactView(impact.head, dict(impact.counts()), tree, projections, followers, services)
