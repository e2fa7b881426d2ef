"""`CorrectionCase`: the case of some wrong events, from the moment it is opened until it is closed, as an aggregate.

Invariants: a case moves from "open" over "planned", "approved" and "applying" to "applied" and "closed", or from one of
the first three to "cancelled"; a new plan takes an approval back; what was applied is never planned again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from actorium.actors.aggregate import Aggregate, create, decide, evolve
from actorium.actors.errors import Rejected
from actorium.correction_case.steps import (
    CORRECTION,
    AppliedCorrection,
    ApproveCase,
    BeginCase,
    CancelCase,
    CaseApproved,
    CaseBegun,
    CaseCancelled,
    CaseClosed,
    CaseOpened,
    CasePlanned,
    CloseCase,
    ConfirmFollower,
    CorrectionsApplied,
    DryRunRecorded,
    FollowerConfirmed,
    OpenCase,
    PlanCase,
    PlannedCorrection,
    ProjectionRepaired,
    ReactionRerun,
    RecordApplied,
    RecordDryRun,
    RecordRepair,
    RecordRerun,
    RecordSaga,
    RerunsWanted,
    SagaSettled,
    SkipMark,
    WantReruns,
)

CaseStatus = Literal["", "open", "planned", "approved", "applying", "applied", "closed", "cancelled"]
_BEFORE_APPLYING = ("open", "planned", "approved")


class CorrectionCase(Aggregate):
    """One case.

    opened_by, reason: who opened it, and why.
    approved_by: who approved its present plan.
    repaired: the projections of the plan that are repaired.
    reruns, rerun: the events for which each reaction runs again, and the error of each that has run; empty if none.
    sagas: what was decided about sagas, by the name of their stream.
    confirmed: the followers whose nodes confirmed that they wait or skip the events; empty without a cluster.
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
    confirmed: Mapping[str, tuple[str, ...]] = {}
    closed_by: str = ""

    @create
    def open(self, command: OpenCase) -> CaseOpened:
        return CaseOpened(command.events, command.by, command.reason, command.held)

    @decide
    def plan(self, command: PlanCase) -> CasePlanned | None:
        self._require(*_BEFORE_APPLYING)
        known = (self.corrections, self.marks, self.repairs, self.reruns)
        if self.status != "open" and known == (command.corrections, command.marks, command.repairs, command.reruns):
            return None  # a late copy of the request must not undo the approval
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
    def want_reruns(self, command: WantReruns) -> RerunsWanted | None:
        failed = any(error for outcomes in self.rerun.values() for error in outcomes.values())
        return RerunsWanted() if self.status == "applied" and failed else None

    @decide
    def confirm_follower(self, command: ConfirmFollower) -> FollowerConfirmed | None:
        if self.is_over or command.follower in self.confirmed.get(command.does, ()):
            return None
        return FollowerConfirmed(command.follower, command.does)

    @decide
    def record_saga(self, command: RecordSaga) -> SagaSettled:
        self._require("applied")
        return SagaSettled(command.saga_type, command.saga_id, command.action, command.by)

    @decide
    def close(self, command: CloseCase) -> CaseClosed | None:
        self._require("applied", "closed")
        if missing := self.missing:
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
    def reruns_wanted(self, event: RerunsWanted) -> None:
        self.rerun = {
            name: {one: error for one, error in outcomes.items() if not error} for name, outcomes in self.rerun.items()
        }

    @evolve
    def follower_confirmed(self, event: FollowerConfirmed) -> None:
        self.confirmed = {**self.confirmed, event.does: (*self.confirmed.get(event.does, ()), event.follower)}

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
    def missing(self) -> list[str]:
        """The followers that are not done: projections to repair, and reactions to run again for some event."""
        reactions = [name for name, events in self.reruns.items() if len(self.rerun.get(name, ())) < len(events)]
        return [
            *(f"projection {name}" for name in self.repairs if name not in self.repaired),
            *(f"reaction {name}" for name in reactions),
        ]

    @property
    def is_over(self) -> bool:
        """Whether the case holds nothing any more."""
        return self.status in ("closed", "cancelled")
