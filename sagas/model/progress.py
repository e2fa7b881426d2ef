"""`SagaProgress`: the state of one saga, folded from the events of its stream.

Invariants: an intent is open from its `StepIssued` until it succeeds or fails, or the saga is stuck; at most one step
is open; a saga that has ended has nothing open. Steps in the state have their current names, but keys keep the
recorded ones, because the commands' ids are built from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from actorium.actors.aggregate import Aggregate, evolve
from actorium.actors.commands import Command
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import (
    FREE,
    NOTHING,
    CommandAnswered,
    EventArrived,
    IssuedCommand,
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
from actorium.store.events import Metadata


class Open(msgspec.Struct):
    """An open intent: which of its commands are open, which have failed, and whether its event has arrived.

    `version` is the version of its `StepIssued`; `headers` are the headers of its commands.
    """

    key: str
    step: str
    undo: bool
    commands: tuple[IssuedCommand, ...]
    effect: bool
    deadline_us: int
    waiting: set[int]
    version: int
    headers: dict[str, str]
    arrived: bool = False
    error: str = ""
    details: Mapping[str, Any] = {}
    failed: set[int] = set()
    id_form: int = 0
    rounds: tuple[int | None, ...] = ()

    @property
    def effects(self) -> tuple[int, ...]:
        """The indexes of the commands that took effect."""
        if self.effect:
            return ()
        return tuple(n for n in range(len(self.commands)) if n not in self.waiting and n not in self.failed)

    @property
    def next_rounds(self) -> tuple[int | None, ...]:
        """The rounds of its commands if it is retried: those that were recorded as not done get new ids."""
        before = self.rounds or (0,) * len(self.commands)
        return tuple(
            (before[n] or 0) + 1 if n in self.failed else before[n] if n in self.waiting else None
            for n in range(len(self.commands))
        )


class SagaProgress(Aggregate):
    """The progress of one saga.

    state: the saga's fields as JSON.
    done: the finished steps in order, with the commands that took effect.
    early: the steps whose event arrived before they were issued.
    stuck_at: the keys at which a failed saga waits for an operator, with the intent if there is one.
    cause: why the saga compensates.
    ended, ended_because: how its own code ended it, and why; kept for an operator who repairs a later failure.
    version: the version of its last event.
    headers: the headers of the event that started it.
    """

    saga: ClassVar[SagaDefinition]
    commands: ClassVar[Mapping[str, type[Command]]] = {}

    version: int = 0
    status: str = ""
    headers: dict[str, str] = {}
    state: msgspec.Raw = msgspec.Raw(b"{}")
    correlation_id: str = ""
    open: dict[str, Open] = {}
    done: dict[str, tuple[IssuedCommand, ...]] = {}
    undone: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    stuck_at: dict[str, Open | None] = {}
    issued: int = 0
    reason: str = ""
    cause: str | None = None
    ended: str = ""
    ended_because: str = ""

    @evolve
    def started(self, event: SagaStarted) -> None:
        self.version += 1
        self.status = "running"
        self.correlation_id, self.headers = event.correlation_id, event.headers
        self.state = event.state

    @evolve
    def moved(self, event: SagaMoved) -> None:
        self.version += 1
        self.state = event.state

    @evolve
    def start_ignored(self, event: StartIgnored) -> None:
        self.version += 1

    @evolve
    def step_issued(self, event: StepIssued) -> None:
        self.version += 1
        self.issued += 1
        if event.after is not None:
            self._succeed(event.after)
        step = self.saga.today(event.step)
        waiting = {0} if event.effect else set(event.sent) if event.rounds else set(range(len(event.commands)))
        self.open[event.key] = Open(
            event.key,
            step,
            event.undo,
            event.commands,
            event.effect,
            event.deadline_us,
            waiting,
            self.version,
            {**self.headers, **event.headers} if event.headers else self.headers,
            not event.undo and step in self.early,
            id_form=event.id_form,
            rounds=event.rounds,
        )

    @evolve
    def command_answered(self, event: CommandAnswered) -> None:
        self.version += 1
        intent = self.open[event.key]
        intent.waiting.discard(event.index)
        if event.error:
            intent.failed.add(event.index)
            intent.error, intent.details = event.error, event.details

    @evolve
    def event_arrived(self, event: EventArrived) -> None:
        self.version += 1
        intent = self.open.get(event.key)
        if intent is not None:
            intent.arrived = True
        self.early = (*self.early, self.saga.today(event.key))

    @evolve
    def step_succeeded(self, event: StepSucceeded) -> None:
        self.version += 1
        self._succeed(event)

    def _succeed(self, event: StepSucceeded) -> None:
        intent = self.open.pop(event.key, None) or self.stuck_at.pop(event.key, None)
        step = self.saga.today(event.step)
        if event.undo:
            self.undone = (*self.undone, step)
        elif step != FREE:
            self.done[step] = intent.commands if intent is not None else ()
        if event.state != NOTHING:
            self.state = event.state

    @evolve
    def step_failed(self, event: StepFailed) -> None:
        self.version += 1
        intent = self.open.pop(event.key, None) or self.stuck_at.pop(event.key, None)
        self.reason = self.cause = event.reason
        self.status = "undoing"
        if event.took_effect:
            commands = intent.commands if intent is not None else ()
            self.done[self.saga.today(event.step)] = tuple(commands[index] for index in event.effects)

    @evolve
    def completed(self, event: SagaCompleted) -> None:
        self.version += 1
        if event.after is not None:
            self._succeed(event.after)
        self.status = self.ended = "completed"
        self.reason = ""
        self.stuck_at.clear()
        self.done.clear()  # nothing more will be undone

    @evolve
    def all_undone(self, event: SagaUndone) -> None:
        self.version += 1
        self.status = "undone"
        self.reason = event.reason

    @evolve
    def failed(self, event: SagaFailed) -> None:
        self.version += 1
        self.status = "failed"
        self.reason = event.reason
        if event.key:
            intent = self.stuck_at[event.key] = self.open.pop(event.key, None)
            if intent is not None:
                intent.failed.update(event.not_done)
                intent.waiting.difference_update(event.not_done)
        else:
            self.ended, self.ended_because = "failed", event.reason

    @evolve
    def repaired(self, event: SagaRepaired) -> None:
        self.version += 1
        self.status = "undoing" if event.undoing else "running"
        if event.action == "retry":
            self.stuck_at.pop(event.key, None)


def metadata_of(saga: SagaProgress, given: Metadata) -> Metadata:
    """Return the metadata for a saga's events: the saga's own flow, whatever caused the events, and its headers."""
    if not saga.status:
        return given
    return Metadata(given.command_id, saga.correlation_id, given.causation_id, {**saga.headers, **given.headers})
