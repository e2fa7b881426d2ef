"""What a request may ask for: the query strings and bodies of the console's API."""

from __future__ import annotations

from typing import Annotated

import msgspec

PAGE_MAX = 500
TARGETS_MAX = 100

Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]
Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
PositionOrVersion = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class NoQuery(msgspec.Struct, frozen=True):
    """Nothing."""


class StreamsQuery(msgspec.Struct, frozen=True):
    """Streams of a type whose id starts with `prefix`, after an id."""

    type: str
    prefix: str = ""
    after: str = ""
    limit: Limit = 50


class HistoryQuery(msgspec.Struct, frozen=True):
    """The changes of a stream before a version; 0 for the newest ones."""

    type: str
    id: str
    before_version: Position = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class StateQuery(msgspec.Struct, frozen=True):
    """The state of a stream after the event at a version."""

    type: str
    id: str
    version: PositionOrVersion


class EventsQuery(msgspec.Struct, frozen=True):
    """Events, the newest first, or from a position on, the oldest first.

    types: only these types of events.
    correlation_id: only the events of this flow.
    before, after: only the events before, or after, this position.
    since, until: only the events recorded at or after, or before, this time (ISO 8601, with a time zone).
    """

    types: tuple[str, ...] = ()
    correlation_id: str = ""
    before: Position | None = None
    after: Position | None = None
    since: str = ""
    until: str = ""
    limit: Limit = 50


class EventQuery(msgspec.Struct, frozen=True):
    """The event at a position."""

    position: PositionOrVersion


class CausesQuery(msgspec.Struct, frozen=True):
    """The causes and the effects of an event; `limit` is the largest number of effects."""

    event_id: str
    limit: Limit = 200


class SagasQuery(msgspec.Struct, frozen=True):
    """Sagas of a type, in a status, at a step, whose id starts with `prefix`; each may be left out.

    idle_s: only those that last changed at least this many seconds ago.
    """

    type: str = ""
    status: str = ""
    step: str = ""
    prefix: str = ""
    idle_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    after_type: str = ""
    after_id: str = ""
    limit: Limit = 50


class SagaQuery(msgspec.Struct, frozen=True):
    """One saga, with at most `lines` lines of its history."""

    type: str
    id: str
    lines: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 200


class SubmissionsQuery(msgspec.Struct, frozen=True):
    """Submitted commands of a type, in a status, after an id."""

    type: str = ""
    status: str = ""
    after: str = ""
    limit: Limit = 50


class SubmissionQuery(msgspec.Struct, frozen=True):
    """The submitted command with an id."""

    id: str


class TimersQuery(msgspec.Struct, frozen=True):
    """What is due, after what `after` of the page before says."""

    after: str = ""
    limit: Limit = 50


class DeadLettersQuery(msgspec.Struct, frozen=True):
    """Parked events, or discarded ones, of a processor or of all, after a position and a processor."""

    processor: str = ""
    discarded: bool = False
    after_position: Position = 0
    after_processor: str = ""
    limit: Limit = 50


class DeadLetterQuery(msgspec.Struct, frozen=True):
    """The dead letter of a processor at a position."""

    processor: str
    position: Position


class HeldQuery(msgspec.Struct, frozen=True):
    """The events that a processor holds, after a position."""

    processor: str
    after: Position = 0
    limit: Limit = 50


class LiveQuery(msgspec.Struct, frozen=True):
    """The live values; the events among them may be limited to types or to a flow."""

    types: tuple[str, ...] = ()
    correlation_id: str = ""


class SagaTarget(msgspec.Struct, frozen=True):
    """A saga to act on."""

    type: str
    id: str


class SagaAction(msgspec.Struct, frozen=True):
    """Act on sagas, for a reason."""

    targets: Annotated[list[SagaTarget], msgspec.Meta(min_length=1, max_length=TARGETS_MAX)]
    reason: Reason


class SubmissionAction(msgspec.Struct, frozen=True):
    """Act on submitted commands, for a reason."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=TARGETS_MAX)]
    reason: Reason


class ProcessorAction(msgspec.Struct, frozen=True):
    """Act on processors, for a reason."""

    names: Annotated[list[str], msgspec.Meta(min_length=1, max_length=TARGETS_MAX)]
    reason: Reason


class DeadLetterTarget(msgspec.Struct, frozen=True):
    """A dead letter to act on."""

    processor: str
    position: Position


class DeadLetterAction(msgspec.Struct, frozen=True):
    """Act on dead letters, for a reason."""

    targets: Annotated[list[DeadLetterTarget], msgspec.Meta(min_length=1, max_length=TARGETS_MAX)]
    reason: Reason


class RecallTarget(msgspec.Struct, frozen=True):
    """An event that a processor holds."""

    processor: str
    position: PositionOrVersion


class RecallAction(msgspec.Struct, frozen=True):
    """Recall events, for a reason."""

    targets: Annotated[list[RecallTarget], msgspec.Meta(min_length=1, max_length=TARGETS_MAX)]
    reason: Reason


class ScheduleAction(msgspec.Struct, frozen=True):
    """Act on schedules, for a reason."""

    names: Annotated[list[str], msgspec.Meta(min_length=1, max_length=TARGETS_MAX)]
    reason: Reason


class ShowEvent(msgspec.Struct, frozen=True):
    """Show the hidden values of an event, for a reason."""

    position: PositionOrVersion
    reason: Reason


class ShowState(msgspec.Struct, frozen=True):
    """Show the hidden values of a state, for a reason."""

    type: str
    id: str
    version: PositionOrVersion
    reason: Reason
