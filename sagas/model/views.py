"""`SagaView`: a saga as a person sees it: where it stands, why, and what happened in it, line by line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from actorium.sagas.model.events import (
    CommandAnswered,
    EventArrived,
    SagaCompleted,
    SagaFailed,
    SagaMended,
    SagaMoved,
    SagaStarted,
    SagaUndone,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.store.events import Event, RecordedEvent


class SagaLine(msgspec.Struct, frozen=True):
    """One thing that happened in a saga; `text` says it for a person."""

    version: int
    at: datetime
    text: str
    event: Event

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.text}"


class SagaView(msgspec.Struct, frozen=True, kw_only=True):
    """A saga as it stands. `status` is running, undoing, completed, undone or failed; `state` is its fields."""

    type: str
    id: str
    status: str
    step: str
    reason: str
    state: dict[str, Any]
    history: tuple[SagaLine, ...]


class SagaSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A saga as a list shows it."""

    type: str
    id: str
    status: str
    step: str
    reason: str
    started_at: datetime
    updated_at: datetime


def line_of(recorded: RecordedEvent[Event]) -> SagaLine:
    """Return what an event of a saga's stream says, as a line."""
    return SagaLine(recorded.version, recorded.recorded_at, text_of(recorded.event), recorded.event)


def text_of(event: Event) -> str:
    """Return what an event of a saga's stream says, for a person."""
    match event:
        case SagaStarted():
            return f"started because of {event.because_of}"
        case SagaMoved():
            return f"took {event.because_of}"
        case StepIssued(effect=True):
            return f"{event.key}: calls outside"
        case StepIssued(commands=()):
            return f"{event.key}: waits for its event"
        case StepIssued():
            sent = ", ".join(f"{one.type} to {msgspec.json.decode(one.fields)['to']!r}" for one in event.commands)
            return f"{event.key}: sends {sent}"
        case CommandAnswered():
            return f"{event.key}: command {event.index} " + (f"refused: {event.error}" if event.error else "done")
        case EventArrived():
            return f"{event.key}: {event.because_of} came"
        case StepSucceeded():
            return f"{event.key}: done"
        case StepFailed():
            return f"{event.key}: failed: {event.reason}"
        case SagaCompleted():
            return "completed"
        case SagaUndone():
            return f"undone, because: {event.reason}"
        case SagaFailed():
            return f"stands{' at ' + event.key if event.key else ''}: {event.reason}"
        case SagaMended():
            return f"{event.action} by hand{' of ' + event.key if event.key else ''}: {event.reason}"
    return type(event).__name__
