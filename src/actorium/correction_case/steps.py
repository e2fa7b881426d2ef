"""The steps of a correction case: the commands that take them, the events that record them, and what is in a plan."""

from __future__ import annotations

from typing import Literal

import msgspec

from actorium.actors.commands import Command
from actorium.store.events import Event

CORRECTION = "actorium.correction"
NOTHING = msgspec.Raw(b"null")

FollowerState = Literal["waits", "skips"]


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


class WantReruns(Command):
    """Have the reactions that failed run again; sent on a node, where another one may run them."""


class ConfirmFollower(Command):
    """Confirm that a follower does what the case says: it waits, or it skips the events of the case."""

    follower: str
    does: FollowerState


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


class RerunsWanted(Event):
    """The reactions that failed run again."""

    event_type = "correction.reruns_wanted"


class FollowerConfirmed(Event):
    """The node that runs a follower confirmed what the follower does now."""

    event_type = "correction.follower_confirmed"

    follower: str
    does: FollowerState


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
