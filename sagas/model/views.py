"""`SagaView`: a saga as the API returns it: its status and step, the reason, and its history line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from actorium.sagas.model.events import (
    CommandAnswered,
    EventArrived,
    SagaCompleted,
    SagaFailed,
    SagaMoved,
    SagaRepaired,
    SagaStarted,
    SagaUndone,
    StartIgnored,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.store.events import Event, RecordedEvent


class SagaLine(msgspec.Struct, frozen=True):
    """One line of a saga's history; `text` describes what happened.

    attempts: how often the command or effect was tried, if the line is its outcome.
    took_s: the seconds since its step was issued; 0 if the line is not an outcome.
    """

    version: int
    at: datetime
    text: str
    event: Event
    attempts: int = 1
    took_s: float = 0.0

    def __str__(self) -> str:
        tried = f"{self.attempts} attempts, " if self.attempts > 1 else ""
        took = f" ({tried}{self.took_s:.3g} s)" if self.took_s else ""
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.text}{took}"


class SagaView(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of a saga, and its history.

    status: "running", "undoing", "completed", "undone" or "failed".
    state: its fields.
    history: the lines of its history, oldest first.
    """

    type: str
    id: str
    status: str
    step: str
    reason: str
    state: dict[str, Any]
    history: tuple[SagaLine, ...]

    @property
    def title(self) -> str:
        """The saga, its status, and the reason for it, in one line."""
        at = f" at {self.step}" if self.step else ""
        because = f": {self.reason}" if self.reason else ""
        return f"{self.type}<{self.id}> is {self.status}{at}{because}"

    def __str__(self) -> str:
        return "\n".join([self.title, *map(str, self.history)])


class SagaSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A saga as `runtime.sagas.list` returns it."""

    type: str
    id: str
    status: str
    step: str
    reason: str
    started_at: datetime
    updated_at: datetime


def lines_of(history: Iterable[RecordedEvent[Event]]) -> Iterator[SagaLine]:
    """Yield a line of history for each event of a saga's stream."""
    issued_us: dict[str, int] = {}
    for recorded in history:
        for event in parts_of(recorded.event):
            attempts, took_s = 1, 0.0
            if isinstance(event, StepIssued):
                issued_us[event.key] = recorded.recorded_us
            elif isinstance(event, CommandAnswered | StepSucceeded | StepFailed | SagaFailed):
                attempts = event.attempts
                took_s = (recorded.recorded_us - issued_us.get(event.key, recorded.recorded_us)) / 1_000_000
            yield SagaLine(recorded.version, recorded.recorded_at, text_of(event), event, attempts, took_s)


def parts_of(event: Event) -> tuple[Event, ...]:
    """Return what an event of a saga's stream tells, in order: itself, after the success that it follows from."""
    if isinstance(event, StepIssued | SagaCompleted) and event.after is not None:
        return (event.after, event)
    return (event,)


def text_of(event: Event) -> str:
    """Return the text of a history line for an event of a saga's stream."""
    match event:
        case SagaStarted():
            return f"started because of {event.because_of}"
        case SagaMoved():
            return f"handled {event.because_of}"
        case StartIgnored():
            return f"ignored start event {event.because_of}: the saga was {event.status}"
        case StepIssued(effect=True):
            return f"{event.key}: external effect"
        case StepIssued() if not event.sent:
            return f"{event.key}: waits for its event"
        case StepIssued():
            commands = event.sent.values()
            sent = ", ".join(f"{one.type} to {msgspec.json.decode(one.fields)['to']!r}" for one in commands)
            return f"{event.key}: sends {sent}"
        case CommandAnswered():
            return f"{event.key}: command {event.index} " + (f"refused: {event.error}" if event.error else "done")
        case EventArrived():
            return f"{event.key}: {event.because_of} arrived"
        case StepSucceeded():
            return f"{event.key}: done"
        case StepFailed():
            return f"{event.key}: failed: {event.reason}"
        case SagaCompleted():
            return "completed"
        case SagaUndone():
            return f"undone: {event.reason}"
        case SagaFailed():
            return f"stuck{' at ' + event.key if event.key else ''}: {event.reason}"
        case SagaRepaired():
            return f"{event.action}{' of ' + event.key if event.key else ''} by an operator: {event.reason}"
    return type(event).__name__
