"""`CorrectionCase`: the case of some wrong events, from the moment it is opened until it is closed, as an aggregate.

Invariants: a case moves from "open" over "planned", "approved" and "applying" to "applied" and "closed", or from one of
the first three to "cancelled"; a new plan takes an approval back; what was applied is never planned again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from actorium.actors.aggregate import Aggregate, create, decide, evolve
from actorium.actors.commands import Command
from actorium.actors.errors import Rejected
from actorium.store.events import Event

CORRECTION = "actorium.correction"
NOTHING = msgspec.Raw(b"null")


class PlannedCorrection(msgspec.Struct, frozen=True):
    """What will be done about one wrong event.

    event: its id.
    stream_type, stream_id: the stream that gets the correcting events.
    right: the fields that the event should have had, as JSON, for its `@correct` method; null if it should not have
        happened.
    command, fields: a command to send instead: its stored name and its fields as JSON.
    """

    event: str
    stream_type: str
    stream_id: str
    right: msgspec.Raw = msgspec.field(default_factory=lambda: NOTHING)
    command: str = ""
    fields: msgspec.Raw = msgspec.field(default_factory=lambda: NOTHING)


class SkipMark(msgspec.Struct, frozen=True):
    """Events that a follower of the log treats as if they had not happened, whenever it reads the log.

    follower: its kind and name: "projection Balances", "reaction thank", "outlet bank".
    positions: those of the events.
    """

    follower: str
    positions: tuple[int, ...]


class AppliedCorrection(msgspec.Struct, frozen=True):
    """The outcome of one planned correction.

    position: that of its last event in the log; 0 if there was nothing to correct.
    error: why it was refused; empty if it took effect.
    """

    event: str
    position: int = 0
    error: str = ""


class OpenCase(Command):
    """Open the case; `to` is its id."""

    events: tuple[str, ...]
    by: str
    reason: str
    held: tuple[str, ...] = ()


class PlanCase(Command):
    """Plan what is done, or plan it again."""

    by: str
    corrections: tuple[PlannedCorrection, ...] = ()
    marks: tuple[SkipMark, ...] = ()
    repairs: tuple[str, ...] = ()
    reruns: dict[str, tuple[str, ...]] = {}


class RecordDryRun(Command):
    """Record the result of a dry run."""

    counts: dict[str, int]


class ApproveCase(Command):
    """Approve the plan."""

    by: str
    second_person: bool


class BeginCase(Command):
    """Begin to apply the plan."""


class RecordApplied(Command):
    """Record that every planned correction has an outcome."""

    outcomes: tuple[AppliedCorrection, ...]


class RecordRepair(Command):
    """Record that a projection was repaired."""

    projection: str
    rows: int
    rebuilt: bool


class RecordRerun(Command):
    """Record the outcome of a reaction that was run again for an event."""

    reaction: str
    event: str
    position: int
    error: str


class RecordSaga(Command):
    """Record what was done about a saga that the wrong events touched."""

    saga_type: str
    saga_id: str
    action: str
    by: str


class CloseCase(Command):
    """Close the case."""

    by: str


class CancelCase(Command):
    """Give the case up before it is applied."""

    by: str
    reason: str


class CaseOpened(Event):
    """A case was opened; `held` are the followers that wait until it is closed."""

    event_type = "correction.opened"

    events: tuple[str, ...]
    by: str
    reason: str
    held: tuple[str, ...] = ()


class CasePlanned(Event):
    """What will be done: corrections, marks, repairs of projections, and reactions that run again for some events."""

    event_type = "correction.planned"

    by: str
    corrections: tuple[PlannedCorrection, ...]
    marks: tuple[SkipMark, ...]
    repairs: tuple[str, ...]
    reruns: dict[str, tuple[str, ...]] = {}


class DryRunRecorded(Event):
    """The plan was tried on a copy; `counts` are the differences by kind."""

    event_type = "correction.dry_run"

    counts: dict[str, int]


class CaseApproved(Event):
    """A person approved the plan."""

    event_type = "correction.approved"

    by: str


class CaseBegun(Event):
    """The plan is being applied; from now on it can only be completed."""

    event_type = "correction.begun"


class CorrectionsApplied(Event):
    """Every planned correction has an outcome."""

    event_type = "correction.applied"

    outcomes: tuple[AppliedCorrection, ...]


class ProjectionRepaired(Event):
    """A projection was repaired: `rows` were written, or it was rebuilt as a whole."""

    event_type = "correction.projection_repaired"

    projection: str
    rows: int
    rebuilt: bool


class ReactionRerun(Event):
    """A reaction was run again for an event at a position; `error` is empty if it succeeded."""

    event_type = "correction.reaction_rerun"

    reaction: str
    event: str
    position: int
    error: str = ""


class SagaSettled(Event):
    """A person decided what becomes of a saga that the wrong events touched."""

    event_type = "correction.saga_settled"

    saga_type: str
    saga_id: str
    action: str
    by: str


class CaseClosed(Event):
    """The case is closed; the followers that it held go on."""

    event_type = "correction.closed"

    by: str


class CaseCancelled(Event):
    """The case was given up before it was applied."""

    event_type = "correction.cancelled"

    by: str
    reason: str


CaseStatus = Literal["", "open", "planned", "approved", "applying", "applied", "closed", "cancelled"]
_BEFORE_APPLYING = ("open", "planned", "approved")


class CorrectionCase(Aggregate):
    """One case.

    opened_by, reason: who opened it, and why.
    approved_by: who approved its present plan.
    repaired: the projections of the plan that are repaired.
    reruns, rerun: the events by reaction that runs again, and the error of each by reaction and event; empty for none.
    sagas: what was decided about sagas, by the name of their stream.
    """

    stream_type = CORRECTION

    status: CaseStatus = ""
    events: tuple[str, ...] = ()
    opened_by: str = ""
    reason: str = ""
    held: tuple[str, ...] = ()
    corrections: tuple[PlannedCorrection, ...] = ()
    marks: tuple[SkipMark, ...] = ()
    repairs: tuple[str, ...] = ()
    dry_run: Mapping[str, int] | None = None
    approved_by: str = ""
    outcomes: tuple[AppliedCorrection, ...] = ()
    repaired: tuple[str, ...] = ()
    reruns: Mapping[str, tuple[str, ...]] = {}
    rerun: Mapping[str, Mapping[str, str]] = {}
    sagas: Mapping[str, str] = {}
    closed_by: str = ""

    @create
    def open(self, command: OpenCase) -> CaseOpened:
        return CaseOpened(command.events, command.by, command.reason, command.held)

    @decide
    def plan(self, command: PlanCase) -> CasePlanned:
        self._require(*_BEFORE_APPLYING)
        return CasePlanned(command.by, command.corrections, command.marks, command.repairs, command.reruns)

    @decide
    def record_dry_run(self, command: RecordDryRun) -> DryRunRecorded:
        self._require("planned", "approved")
        return DryRunRecorded(command.counts)

    @decide
    def approve(self, command: ApproveCase) -> CaseApproved | None:
        self._require("planned", "approved")
        if self.approved_by == command.by:
            return None
        if command.second_person and command.by == self.opened_by:
            raise Rejected("a second person must approve the case: its opener cannot", opened_by=self.opened_by)
        return CaseApproved(command.by)

    @decide
    def begin(self, command: BeginCase) -> CaseBegun | None:
        self._require("approved", "applying", "applied")
        return CaseBegun() if self.status == "approved" else None

    @decide
    def record_applied(self, command: RecordApplied) -> CorrectionsApplied | None:
        self._require("applying", "applied")
        return CorrectionsApplied(command.outcomes) if self.status == "applying" else None

    @decide
    def record_repair(self, command: RecordRepair) -> ProjectionRepaired | None:
        self._require("applied")
        if command.projection in self.repaired:
            return None
        return ProjectionRepaired(command.projection, command.rows, command.rebuilt)

    @decide
    def record_rerun(self, command: RecordRerun) -> ReactionRerun | None:
        self._require("applied")
        if self.rerun.get(command.reaction, {}).get(command.event) in ("", command.error):
            return None
        return ReactionRerun(command.reaction, command.event, command.position, command.error)

    @decide
    def record_saga(self, command: RecordSaga) -> SagaSettled:
        self._require("applied")
        return SagaSettled(command.saga_type, command.saga_id, command.action, command.by)

    @decide
    def close(self, command: CloseCase) -> CaseClosed | None:
        self._require("applied", "closed")
        missing = [name for name in self.repairs if name not in self.repaired]
        missing += [name for name, events in self.reruns.items() if len(self.rerun.get(name, ())) < len(events)]
        if missing:
            raise Rejected("the case is not applied completely: apply it again", missing=missing)
        return CaseClosed(command.by) if self.status == "applied" else None

    @decide
    def cancel(self, command: CancelCase) -> CaseCancelled | None:
        self._require(*_BEFORE_APPLYING, "cancelled")
        return CaseCancelled(command.by, command.reason) if self.status != "cancelled" else None

    def _require(self, *statuses: str) -> None:
        if self.status not in statuses:
            raise Rejected(f"the case is {self.status}: it must be {' or '.join(statuses)}", status=self.status)

    @evolve
    def opened(self, event: CaseOpened) -> None:
        self.status, self.events, self.held = "open", event.events, event.held
        self.opened_by, self.reason = event.by, event.reason

    @evolve
    def planned(self, event: CasePlanned) -> None:
        self.status, self.approved_by, self.dry_run = "planned", "", None
        self.corrections, self.marks, self.repairs = event.corrections, event.marks, event.repairs
        self.reruns = event.reruns

    @evolve
    def tried(self, event: DryRunRecorded) -> None:
        self.dry_run = event.counts

    @evolve
    def approved(self, event: CaseApproved) -> None:
        self.status, self.approved_by = "approved", event.by

    @evolve
    def begun(self, event: CaseBegun) -> None:
        self.status = "applying"

    @evolve
    def applied(self, event: CorrectionsApplied) -> None:
        self.status, self.outcomes = "applied", event.outcomes

    @evolve
    def projection_repaired(self, event: ProjectionRepaired) -> None:
        self.repaired = (*self.repaired, event.projection)

    @evolve
    def reaction_rerun(self, event: ReactionRerun) -> None:
        self.rerun = {**self.rerun, event.reaction: {**self.rerun.get(event.reaction, {}), event.event: event.error}}

    @evolve
    def saga_settled(self, event: SagaSettled) -> None:
        self.sagas = {**self.sagas, f"{event.saga_type}<{event.saga_id}>": event.action}

    @evolve
    def case_closed(self, event: CaseClosed) -> None:
        self.status, self.closed_by = "closed", event.by

    @evolve
    def cancelled(self, event: CaseCancelled) -> None:
        self.status = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the case holds nothing any more."""
        return self.status in ("closed", "cancelled")
