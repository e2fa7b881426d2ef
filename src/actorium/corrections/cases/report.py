"""`CaseReport`: a case from the first to the last step, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from actorium.catalog import Catalog
from actorium.correction_case import CORRECTION, AppliedCorrection, CorrectionCase, ProjectionRepaired, SkipMark
from actorium.corrections.impact.examination import examine
from actorium.corrections.impact.selection import Selection, stream_records
from actorium.runtime.services.service import Service
from actorium.store.event_store import EventStore
from actorium.store.events import as_json, event_type_of
from actorium.store.names import StreamName


class CaseStep(msgspec.Struct, frozen=True):
    """One event of a case: its type, when it was recorded in microseconds since the epoch, its place and content."""

    type: str
    recorded_us: int
    position: int
    content: msgspec.Raw


class CaseReport(msgspec.Struct, frozen=True):
    """A case from the first to the last step.

    impact: what the wrong events touched, as counts.
    corrected: what the corrections touched, as counts.
    outcomes: what became of each planned correction.
    marks: the events that followers skip, permanently.
    repaired: for each repaired projection, how many rows were written; -1 if it was rebuilt.
    rerun: for each reaction that ran again, its error for each event; an empty text if it succeeded.
    sagas: what was decided about sagas, by the name of their stream.
    steps: the events of the case.
    """

    id: str
    status: str
    opened_by: str
    reason: str
    approved_by: str
    closed_by: str
    events: Sequence[str]
    impact: Mapping[str, int]
    corrected: Mapping[str, int]
    outcomes: Sequence[AppliedCorrection]
    marks: Sequence[SkipMark]
    repaired: Mapping[str, int]
    rerun: Mapping[str, Mapping[str, str]]
    sagas: Mapping[str, str]
    steps: Sequence[CaseStep]

    @property
    def refused(self) -> list[AppliedCorrection]:
        """The corrections that were refused: somebody must still do something about these events."""
        return [one for one in self.outcomes if one.error]

    @property
    def failed_reruns(self) -> list[tuple[str, str, str]]:
        """The reactions that failed again: reaction, event and error."""
        return failed_reruns(self.rerun)

    def as_json(self) -> bytes:
        """Return the report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self))


async def report_of(store: EventStore, catalog: Catalog, case: CorrectionCase, service: Service | None) -> CaseReport:
    """Return the report on a case as it is now; the store is open."""
    stream = StreamName(CORRECTION, case.id)
    recorded = [one async for record in stream_records(store, stream) for one in catalog.codec.recorded(record)]
    impact = await examine(store, catalog, Selection(events=case.events), service)
    corrected = await examine(store, catalog, Selection(events=[recorded[0].event_id]), service)
    return CaseReport(
        case.id,
        case.status,
        case.opened_by,
        case.reason,
        case.approved_by,
        case.closed_by,
        case.events,
        impact.counts(),
        corrected.counts(),
        case.outcomes,
        case.marks,
        {
            one.event.projection: -1 if one.event.rebuilt else one.event.rows
            for one in recorded
            if isinstance(one.event, ProjectionRepaired)
        },
        case.rerun,
        case.sagas,
        [
            CaseStep(event_type_of(type(one.event)), one.recorded_us, one.position, msgspec.Raw(as_json(one.event)))
            for one in recorded
        ],
    )


def failed_reruns(rerun: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """Return the reaction, event and error of each failed outcome."""
    return [(name, event, error) for name, outcomes in rerun.items() for event, error in outcomes.items() if error]
