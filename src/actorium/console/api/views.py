"""The values that a console answers with, as JSON; its OpenAPI document describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored.

    id: names it as the cause of others: `<stream type>/<stream id>/<version>`.
    payload, headers: without the values that are hidden.
    is_masked: whether a value is hidden.
    """

    id: str
    position: int
    stream_type: str
    stream_id: str
    version: int
    type: str
    schema_version: int
    recorded_at: datetime
    command_id: str
    correlation_id: str
    causation_id: str
    headers: dict[str, Any]
    payload: Any
    is_masked: bool


class EventPage(msgspec.Struct, frozen=True):
    """Events, and how to go on.

    searched_to: the position up to which the log was searched; pass it as `before` (or `after`) for the next page.
    is_last: the log holds no more such events in this direction.
    """

    events: list[EventView]
    searched_to: int
    is_last: bool


class DifferenceView(msgspec.Struct, frozen=True):
    """A value of a state that an event changed: where it is, and what it was before and after."""

    path: str
    before: Any
    after: Any


class ChangeView(msgspec.Struct, frozen=True):
    """An event of a stream, with the state before and after it; None if the state cannot be computed here."""

    event: EventView
    before: Any
    after: Any
    differences: list[DifferenceView]


class StreamHistory(msgspec.Struct, frozen=True):
    """A page of a stream's history, the newest event first.

    version: the version of the stream's last event.
    why_no_states: why the changes have no states; empty if they have.
    """

    stream_type: str
    stream_id: str
    version: int
    changes: list[ChangeView]
    why_no_states: str


class StateView(msgspec.Struct, frozen=True):
    """The state of a stream after the event at a version."""

    stream_type: str
    stream_id: str
    version: int
    state: Any
    is_masked: bool


class StreamPageView(msgspec.Struct, frozen=True):
    """Streams of a type by id; `after` is for the next page, empty if this is the last one."""

    ids: list[str]
    after: str


class NamesView(msgspec.Struct, frozen=True):
    """Names in order."""

    names: list[str]


class EventElsewhere(msgspec.Struct, frozen=True):
    """An event in the log of another service, by its id there."""

    service: str
    id: str


class CauseTree(msgspec.Struct, frozen=True):
    """What led to an event, and what it caused.

    causes: the chain of events that led to it, the first one first.
    event: the event itself.
    effects: the events that it caused, directly and indirectly; each names its cause.
    is_complete: there are no more than these.
    origin: the event of another service that the first cause came from; None if it began here.
    from_services: events of other services that were taken in as part of the same flow, and are not in this tree.
    """

    causes: list[EventView]
    event: EventView
    effects: list[EventView]
    is_complete: bool
    origin: EventElsewhere | None
    from_services: list[EventView]


class SagaRowView(msgspec.Struct, frozen=True):
    """A saga in a list."""

    type: str
    id: str
    status: str
    step: str
    reason: str
    started_at: datetime | None
    updated_at: datetime | None


class SagaPage(msgspec.Struct, frozen=True):
    """Sagas by type and id; `after_type` and `after_id` are for the next page, empty if this is the last one."""

    sagas: list[SagaRowView]
    after_type: str
    after_id: str


class SagaLineView(msgspec.Struct, frozen=True):
    """One line of a saga's history."""

    version: int
    at: datetime
    text: str
    attempts: int
    took_s: float


class SagaTimeline(msgspec.Struct, frozen=True):
    """A saga: its status, its fields and the newest lines of its history, oldest first.

    lines_before: how many older lines were left out.
    """

    type: str
    id: str
    status: str
    step: str
    reason: str
    state: Any
    is_masked: bool
    history: list[SagaLineView]
    lines_before: int


class SubmissionRowView(msgspec.Struct, frozen=True):
    """A submitted command in a list."""

    id: str
    type: str
    status: str
    reason: str
    due_at: datetime | None
    submitted_at: datetime | None
    ended_at: datetime | None


class SubmissionPage(msgspec.Struct, frozen=True):
    """Submitted commands by id; `after` is for the next page, empty if this is the last one."""

    submissions: list[SubmissionRowView]
    after: str


class TimerView(msgspec.Struct, frozen=True):
    """Something that is due: a submitted command, a step of a saga, a deadline or an alarm."""

    owner: str
    id: str
    key: str
    what: str
    due_at: datetime | None


class TimerPage(msgspec.Struct, frozen=True):
    """What is due, the earliest first; `after` is for the next page, empty if this is the last one."""

    timers: list[TimerView]
    after: str


class ProcessorView(msgspec.Struct, frozen=True):
    """A processor of the log, as `ProcessorStatistics` describes it; `kind` says what it drives."""

    name: str
    kind: str
    state: str
    position: int
    lag_events: int
    lag_s: float
    handled: int
    parked: int
    error: str


class ProcessorsView(msgspec.Struct, frozen=True):
    """The processors of a runtime."""

    processors: list[ProcessorView]


class DeadLetterRow(msgspec.Struct, frozen=True):
    """A parked or discarded event in a list; `discarded` is the reason why it was, else empty."""

    processor: str
    position: int
    stream_type: str
    stream_id: str
    version: int
    event_type: str
    attempts: int
    error: str
    parked_at: datetime | None
    discarded: str


class DeadLetterPage(msgspec.Struct, frozen=True):
    """Dead letters in log order; `after_processor` and `after_position` are for the next page, empty at the end."""

    dead_letters: list[DeadLetterRow]
    total: int
    after_position: int
    after_processor: str


class DeadLetterDetail(msgspec.Struct, frozen=True):
    """A dead letter with its event and the traceback of its handler's last failure."""

    letter: DeadLetterRow
    traceback: str
    event: EventView | None


class ActionOutcome(msgspec.Struct, frozen=True):
    """What became of an action on one target; `error` is empty if it was carried out."""

    target: str
    error: str


class ActionReport(msgspec.Struct, frozen=True):
    """What became of an action, and the operator's event that records it."""

    outcomes: list[ActionOutcome]
    recorded_as: str


class ConsoleInfo(msgspec.Struct, frozen=True):
    """What a console shows and what its user may do.

    source: "runtime" for a running application, "log" for a log's file.
    actions: whether operators may act here.
    """

    source: str
    store: str
    operator: str
    role: str
    actions: bool
    version: str


class SettingsView(msgspec.Struct, frozen=True):
    """The settings in force, by name."""

    store: str
    settings: dict[str, Any]


class MapNode(msgspec.Struct, frozen=True):
    """A part of the application: its kind, its name, and the names under which `flow` counts it."""

    kind: str
    name: str
    stream_type: str
    commands: list[str]
    queries: list[str]


class MapEdge(msgspec.Struct, frozen=True):
    """What flows from one part to another: types of events, or commands."""

    source: str
    target: str
    event_types: list[str]
    commands: list[str]


class MapView(msgspec.Struct, frozen=True):
    """The parts of an application, and what flows between them."""

    nodes: list[MapNode]
    edges: list[MapEdge]
