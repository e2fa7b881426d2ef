"""`Plan`: what a saga decides next: pure, from its state and what was reported, to the events of one append."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.actors.errors import Rejected
from actorium.runtime.event_handlers import arguments
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
from actorium.store.events import Event, RecordedEvent

if TYPE_CHECKING:
    from actorium.sagas.saga import Saga
    from actorium.sagas.steps import Step
    from actorium.sagas.stream import Answered, Open, SagaStream


class Plan:
    """One decision of one saga; every public method returns the events it consists of."""

    def __init__(self, stream: SagaStream, at_us: int) -> None:
        self._stream = stream
        self._definition = stream.saga
        self._at_us = at_us
        self._events: list[Any] = []
        self._done = list(stream.done)
        self._undone = list(stream.undone)
        self._reason = stream.reason
        self._issued = stream.issued
        self._state = stream.state

    # --- what is reported -----------------------------------------------------------------------------------------

    def happened(self, recorded: RecordedEvent[Event]) -> list[Any]:
        """Take an event: begin, hand it to its handler, or end the step that waits for it."""
        stream = self._stream
        known = self._definition.handlers.get(type(recorded.event))
        if not stream.status:
            return self._begin(recorded) if known is not None and known.is_start else []
        if stream.status not in ("running", "undoing"):
            return []
        for step in self._definition.untils.get(type(recorded.event), ()):
            intent = stream.open.get(step.name)
            if intent is None:
                continue
            if intent.waiting:
                self._events.append(EventArrived(intent.key, _shown(recorded)))
            else:
                self._succeed(intent, None)
        if known is not None and stream.status == "running":
            self._hand_over(recorded)
        return self._events

    def answered(self, answer: Answered) -> list[Any]:
        """Take the answer to one command of an intent (or the end of all of them)."""
        intent = self._stream.open.get(answer.key)
        if intent is None or (answer.index >= 0 and answer.index not in intent.waiting):
            return []  # said before
        if answer.index < 0:
            self._fail(intent, answer.error, answer.details, answer.took_effect or intent.took_effect)
            return self._events
        if answer.error and intent.step not in self._definition.steps and self._take_rejection(intent, answer):
            return self._events
        rest = len(intent.waiting) - 1
        error = answer.error or intent.error
        if rest or (not error and self._waits_for_event(intent)):
            self._events.append(CommandAnswered(answer.key, answer.index, answer.error, answer.details))
        elif error:
            others = len(intent.commands) - intent.failed - 1 if answer.error else len(intent.commands) - intent.failed
            took_effect = answer.took_effect or (others > 0 and not intent.effect)
            self._fail(intent, error, answer.details or intent.details, took_effect)
        else:
            self._succeed(intent, answer.state)
        return self._events

    def mend(self, action: str, reason: str) -> list[Any]:
        """Do what a person wants of a saga that stands."""
        stream, intent = self._stream, self._stream.stands
        if stream.status != "failed":
            raise Rejected("the saga does not stand: there is nothing to mend", status=stream.status)
        if intent is None and action != "complete":
            raise Rejected("the saga ended itself: it can only be completed by hand", reason=stream.reason)
        self._events.append(SagaMended(action, intent.key if intent else "", reason))
        if action == "complete" or intent is None:
            self._events.append(SagaCompleted())
        elif action == "retry":
            self._issue(intent.key, intent.step, intent.undo, intent.commands, intent.effect)
        else:
            self._succeed(intent, None)
        return self._events

    # --- what follows ---------------------------------------------------------------------------------------------

    def _begin(self, recorded: RecordedEvent[Event]) -> list[Any]:
        saga = self._definition.saga_class()
        saga.id = self._stream.id
        commands = self._call(saga, recorded)
        self._state = msgspec.to_builtins(saga)
        self._events.append(SagaStarted(_shown(recorded), recorded.metadata.flow_id, self._state))
        self._follow_up(saga, recorded, commands)
        if self._definition.steps and not saga.ended:
            self._go_on("")
        return self._events

    def _hand_over(self, recorded: RecordedEvent[Event]) -> None:
        saga = self._saga()
        commands = self._call(saga, recorded)
        self._state = msgspec.to_builtins(saga)
        self._events.append(SagaMoved(_shown(recorded), self._state))
        self._follow_up(saga, recorded, commands)

    def _call(self, saga: Saga, recorded: RecordedEvent[Event]) -> tuple[IssuedCommand, ...]:
        handler = self._definition.handlers[type(recorded.event)].handler
        return _issued(handler.method(saga, *arguments(handler, recorded, {})), handler.method.__qualname__)

    def _follow_up(self, saga: Saga, about: Any, commands: tuple[IssuedCommand, ...]) -> None:
        """Issue what a handler returned, and end the saga if it said so."""
        if commands:
            self._issue(f"on:{self._issued + 1}", "on", False, commands, False)
        if saga.ended == "completed":
            self._events.append(SagaCompleted())
        elif saga.ended == "failed":
            self._events.append(SagaFailed("", saga.reason))

    def _take_rejection(self, intent: Open, answer: Answered) -> bool:
        """Give a rejected command of the free form to its handler; return False where there is none."""
        issued = intent.commands[answer.index]
        rejections = self._definition.rejections
        command_class = next((one for one in rejections if command_type_of(one) == issued.type), None)
        if command_class is None:
            return False
        handler = rejections[command_class]
        saga = self._saga()
        command = msgspec.convert(issued.fields, command_class)
        rejection = Rejected(answer.error, **answer.details)
        wants = handler.__code__.co_argcount > 2
        commands = _issued(handler(saga, command, rejection) if wants else handler(saga, command), handler.__qualname__)
        self._state = msgspec.to_builtins(saga)
        self._events.append(SagaMoved(f"rejection of {issued.type}", self._state))
        if len(intent.waiting) > 1:
            self._events.append(CommandAnswered(answer.key, answer.index))
        else:
            self._events.append(StepSucceeded(intent.key, intent.step, False))
        self._follow_up(saga, answer, commands)
        return True

    def _succeed(self, intent: Open, state: dict[str, Any] | None) -> None:
        self._events.append(StepSucceeded(intent.key, intent.step, intent.undo, state))
        if state is not None:
            self._state = state
        (self._undone if intent.undo else self._done).append(intent.step)
        if intent.undo:
            self._undo_next()
        elif intent.step in self._definition.steps and self._stream.status != "undoing":
            self._go_on(intent.step)

    def _fail(self, intent: Open, error: str, details: Any, took_effect: bool) -> None:
        definition = self._definition
        if intent.undo or intent.step not in definition.steps or not definition.can_turn_round(intent.step):
            self._events.append(SagaFailed(intent.key, error))
            return
        self._events.append(StepFailed(intent.key, intent.step, False, error, details, took_effect))
        self._reason = error
        if took_effect:
            self._done.append(intent.step)
        self._undo_next()

    def _go_on(self, after: str) -> None:
        """Issue the next step that has something to do, or complete."""
        saga = self._saga()
        while (step := self._definition.next_step(after)) is not None:
            if step.is_effect:
                self._issue(step.name, step.name, False, (), True)
                return
            commands = _issued(step.method(saga), step.method.__qualname__)
            if commands or step.until is not None:
                self._issue(step.name, step.name, False, commands, False)
                return
            self._events.append(StepSucceeded(step.name, step.name, False))
            self._done.append(step.name)
            after = step.name
        self._events.append(SagaCompleted())

    def _undo_next(self) -> None:
        """Issue the undo of the last step that is done and not undone, or say that all is undone."""
        saga = self._saga()
        for name in reversed(self._done):
            step = self._definition.steps.get(name)
            if step is None or step.undo_method is None or name in self._undone:
                continue
            commands = _issued(step.undo_method(saga), step.undo_method.__qualname__)
            if commands:
                self._issue(name + UNDO, name, True, commands, False)
                return
            self._events.append(StepSucceeded(name + UNDO, name, True))
            self._undone.append(name)
        self._events.append(SagaUndone(self._reason))

    def _issue(self, key: str, step_name: str, undo: bool, commands: tuple[IssuedCommand, ...], effect: bool) -> None:
        step = self._definition.steps.get(step_name)
        timeout_s = step.timeout_s if step is not None and not undo else None
        deadline_us = 0 if timeout_s is None else self._at_us + round(timeout_s * 1_000_000)
        self._issued += 1
        self._events.append(StepIssued(key, step_name, undo, commands, effect, deadline_us))

    def _waits_for_event(self, intent: Open) -> bool:
        step: Step | None = self._definition.steps.get(intent.step)
        return step is not None and step.until is not None and not intent.undo and not intent.arrived

    def _saga(self) -> Saga:
        saga = msgspec.convert(self._state, self._definition.saga_class)
        saga.id, saga.reason = self._stream.id, self._reason
        return saga


def _issued(returned: Any, name: str) -> tuple[IssuedCommand, ...]:
    """Return what a step or a handler returned as commands to issue."""
    if returned is None:
        return ()
    commands = (returned,) if isinstance(returned, Command) else returned
    if not isinstance(commands, Iterable):
        raise TypeError(f"{name} returned {returned!r}: it returns a command, several, or None")
    issued = []
    for command in commands:
        if not isinstance(command, Command):
            raise TypeError(f"{name} returned {command!r}, which is no Command")
        issued.append(IssuedCommand(command_type_of(type(command)), msgspec.to_builtins(command)))
    return tuple(issued)


def _shown(recorded: RecordedEvent[Event]) -> str:
    return f"{type(recorded.event).__name__} at {recorded.stream_type}<{recorded.stream_id}> version {recorded.version}"
