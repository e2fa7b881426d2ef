"""`SagaStream`: a saga as an event-sourced actor.

Its inputs are what the router and the executor report; its decisions are events of its own stream, intents among them:
a step's commands leave only after the event that records them is committed. Invariants: an intent is open from its
`StepIssued` until it succeeded, failed or the saga stands; of the steps at most one is open; a saga that has ended has
nothing open and issues nothing more, unless a person mends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from actorium.actors.aggregate import Aggregate, decide, evolve
from actorium.actors.commands import Command
from actorium.sagas.definition import SagaDefinition
from actorium.sagas.events import (
    UNDO,
    CommandAnswered,
    EventArrived,
    IssuedCommand,
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
from actorium.sagas.plan import Plan
from actorium.store.events import Event, RecordedEvent

SagaEvent = (
    SagaStarted
    | SagaMoved
    | StepIssued
    | CommandAnswered
    | EventArrived
    | StepSucceeded
    | StepFailed
    | SagaCompleted
    | SagaUndone
    | SagaFailed
    | SagaMended
)


class Happened(Command):
    """An event came that this saga follows; `at_us` is the time, in microseconds since the epoch."""

    recorded: RecordedEvent[Event]
    at_us: int


class Answered(Command):
    """A command of an intent took effect, or cannot be carried out, and `error` says why.

    `index` is the command's place in the intent; -1 speaks for all that are still waited for. `took_effect` says that a
    failed one did something all the same. `state` is what an effect made of the saga's fields.
    """

    key: str
    index: int
    at_us: int
    error: str = ""
    details: Mapping[str, Any] = {}
    took_effect: bool = False
    state: dict[str, Any] | None = None


class Broke(Command):
    """What the saga's code does after an answer raises, whatever is tried: the saga stands until a person acts."""

    key: str
    reason: str


class Mend(Command):
    """A person acts on a saga that stands: "retry", "skip" or "complete"."""

    action: str
    reason: str
    at_us: int


class Open(msgspec.Struct):
    """An intent that is not over: which of its commands are waited for, which failed, whether its event has come."""

    key: str
    step: str
    undo: bool
    commands: tuple[IssuedCommand, ...]
    effect: bool
    deadline_us: int
    waiting: set[int]
    error: str = ""
    details: Mapping[str, Any] = {}
    failed: int = 0
    arrived: bool = False

    @property
    def took_effect(self) -> bool:
        """Whether one of its commands did something."""
        return not self.effect and len(self.commands) > len(self.waiting) + self.failed


class SagaStream(Aggregate):
    """The state of one saga instance; `saga_stream_of` makes the class for a saga class."""

    saga: ClassVar[SagaDefinition]

    status: str = ""
    state: dict[str, Any] = {}
    correlation_id: str = ""
    open: dict[str, Open] = {}
    done: list[str] = []
    undone: list[str] = []
    stands: Open | None = None
    issued: int = 0
    reason: str = ""

    @decide
    def happened(self, command: Happened) -> list[SagaEvent]:
        return Plan(self, command.at_us).happened(command.recorded)

    @decide
    def answered(self, command: Answered) -> list[SagaEvent]:
        return Plan(self, command.at_us).answered(command)

    @decide
    def broke(self, command: Broke) -> list[SagaEvent]:
        return [SagaFailed(command.key, command.reason)] if command.key in self.open else []

    @decide
    def mend(self, command: Mend) -> list[SagaEvent]:
        return Plan(self, command.at_us).mend(command.action, command.reason)

    @evolve
    def started(self, event: SagaStarted) -> None:
        self.status = "running"
        self.correlation_id = event.correlation_id
        self.state = event.state

    @evolve
    def moved(self, event: SagaMoved) -> None:
        self.state = event.state

    @evolve
    def step_issued(self, event: StepIssued) -> None:
        self.issued += 1
        waiting = {0} if event.effect else set(range(len(event.commands)))
        self.open[event.key] = Open(
            event.key, event.step, event.undo, event.commands, event.effect, event.deadline_us, waiting
        )

    @evolve
    def command_answered(self, event: CommandAnswered) -> None:
        intent = self.open[event.key]
        intent.waiting.discard(event.index)
        if event.error:
            intent.failed += 1
            intent.error, intent.details = event.error, event.details

    @evolve
    def event_arrived(self, event: EventArrived) -> None:
        self.open[event.key].arrived = True

    @evolve
    def step_succeeded(self, event: StepSucceeded) -> None:
        self.open.pop(event.key, None)
        (self.undone if event.undo else self.done).append(event.step)
        if event.state is not None:
            self.state = event.state

    @evolve
    def step_failed(self, event: StepFailed) -> None:
        self.open.pop(event.key, None)
        self.reason = event.reason
        self.status = "undoing"
        if event.took_effect:
            self.done.append(event.step)

    @evolve
    def completed(self, event: SagaCompleted) -> None:
        self.status = "completed"
        self.stands = None

    @evolve
    def all_undone(self, event: SagaUndone) -> None:
        self.status = "undone"
        self.reason = event.reason

    @evolve
    def failed(self, event: SagaFailed) -> None:
        self.status = "failed"
        self.reason = event.reason
        self.stands = self.open.pop(event.key, None)

    @evolve
    def mended(self, event: SagaMended) -> None:
        self.status = "undoing" if event.key.endswith(UNDO) else "running"
        self.stands = None


def saga_stream_of(definition: SagaDefinition) -> type[SagaStream]:
    """Return the aggregate class whose streams are the sagas of one class."""

    class Stream(SagaStream):
        stream_type = definition.saga_type
        saga = definition

    return Stream
