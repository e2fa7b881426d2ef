"""`StepPlan`: decides what a saga does next; a pure function from its state and a report to the events of one
append.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actorium.actors.commands import command_type_of
from actorium.actors.errors import Rejected
from actorium.runtime.processors.event_handlers import arguments
from actorium.sagas.model.events import (
    FREE,
    NOTHING,
    UNDO,
    CommandAnswered,
    EventArrived,
    IssuedCommand,
    SagaCompleted,
    SagaFailed,
    SagaMoved,
    SagaStarted,
    SagaUndone,
    StartIgnored,
    StepFailed,
    StepIssued,
    StepSucceeded,
    as_recorded,
)
from actorium.sagas.model.intents import ID_FORM
from actorium.sagas.model.messages import Answered
from actorium.sagas.model.progress import Open, SagaProgress
from actorium.sagas.model.recording import bug_text, command_of, event_text, issued_commands, saga_of, state_of
from actorium.sagas.model.state import SagaState
from actorium.sagas.model.steps import Step
from actorium.store.events import Event, RecordedEvent, as_json
from actorium.store.log import logger

log = logger("actorium.sagas")


class StepPlan:
    """One decision of one saga; every public method returns the events of the decision.

    headers: the headers of the reported event or command; a step that is issued because of it inherits them.
    """

    def __init__(self, stream: SagaProgress, at_us: int, headers: Mapping[str, str]) -> None:
        self._stream = stream
        self._definition = stream.saga
        self._at_us = at_us
        self._attempts = 1
        own = stream.headers
        self._headers = {name: value for name, value in headers.items() if own.get(name) != value} if headers else {}
        self._events: list[Any] = []
        self._status = stream.status
        self._done = dict(stream.done)
        self._undone = list(stream.undone)
        self._cause = stream.cause
        self._issued = stream.issued
        self._state = stream.state

    # --- reports --------------------------------------------------------------------------------------------------

    def happened(self, recorded: RecordedEvent[Event]) -> list[Any]:
        """Handle an event: start the saga, call the handler, or end the step that waits for it."""
        known = self._definition.handler_of(type(recorded.event))
        if not self._status:
            return self._begin(recorded) if known is not None and known.is_start else []
        if self._status == "failed" and self._stream.stuck_at:
            # Afterwards the event is delivered again.
            raise Rejected(f"the saga failed ({self._stream.reason}) and waits for an operator")
        is_under_way = self._status in ("running", "undoing")
        # Without steps, a handler that starts a saga takes every later event too: nothing is between two steps then.
        if known is not None and known.is_start and (self._definition.steps or not is_under_way):
            self._start_again(recorded)
        elif known is not None and self._status == "running":
            self._hand_over(recorded)
        if not is_under_way:
            return self._events
        if self._status in ("running", "undoing"):
            self._arrive(recorded)
        return self._events

    def answered(self, answer: Answered) -> list[Any]:
        """Handle the reply to one command of an intent, or the end of all of them."""
        intent = self._stream.open.get(answer.key)
        if intent is None or (answer.index >= 0 and answer.index not in intent.waiting):
            return []  # already reported
        self._attempts = answer.attempts
        if answer.index < 0:
            effects = tuple(sorted({*intent.effects, *answer.effects}))
            self._fail(intent, answer.error, answer.details, answer.took_effect, effects)
            return self._events
        if answer.error and intent.step == FREE and self._take_rejection(intent, answer):
            return self._events
        rest = len(intent.waiting) - 1
        error = answer.error or intent.error
        if rest or (not error and self._waits_for_event(intent)):
            self._events.append(CommandAnswered(answer.key, answer.index, answer.error, answer.details, self._attempts))
        elif error:
            effects = intent.effects if answer.error else tuple(sorted((*intent.effects, answer.index)))
            not_done = (answer.index,) if answer.error and not intent.effect else ()
            self._fail(intent, error, answer.details or intent.details, answer.took_effect, effects, not_done)
        else:
            self._succeed(intent.key, intent.step, intent.undo, intent.commands, answer.state)
        return self._events

    # --- consequences ---------------------------------------------------------------------------------------------

    def _begin(self, recorded: RecordedEvent[Event]) -> list[Any]:
        saga = self._definition.saga_class()
        saga.id = self._stream.id
        commands = self._call(saga, recorded)
        self._state = as_recorded(state_of(saga))
        self._status = "running"
        headers, self._headers = dict(recorded.metadata.headers), {}
        self._events.append(SagaStarted(event_text(recorded), recorded.metadata.flow_id, self._state, headers))
        self._follow_up(saga, commands)
        if self._definition.steps and self._status == "running":
            self._go_on("")
        return self._events

    def _start_again(self, recorded: RecordedEvent[Event]) -> None:
        """Handle a second start event as the class says; the saga's fields stay as they are."""
        if self._definition.saga_class.on_start_again == "refuse":
            raise Rejected(
                f"the saga has already started and is {self._status}; its class refuses a second start event"
            )
        self._events.append(StartIgnored(event_text(recorded), self._status))

    def _hand_over(self, recorded: RecordedEvent[Event]) -> None:
        saga = self._saga()
        commands = self._call(saga, recorded)
        self._state = as_recorded(state_of(saga))
        self._events.append(SagaMoved(event_text(recorded), self._state))
        self._follow_up(saga, commands)

    def _arrive(self, recorded: RecordedEvent[Event]) -> None:
        """Pass an event to the step that waits for it: the open one, or else the next one in order."""
        steps = self._definition.waiting_for(type(recorded.event))
        for step in steps:
            intent = next((one for one in self._stream.open.values() if one.step == step.name and not one.undo), None)
            if intent is None or intent.arrived:
                continue
            if intent.waiting:
                self._events.append(EventArrived(intent.key, event_text(recorded)))
            else:
                self._succeed(intent.key, intent.step, False, intent.commands, None)
            return
        for step in steps:
            if self._status == "running" and step.name not in self._done and step.name not in self._stream.early:
                self._events.append(EventArrived(step.name, event_text(recorded)))
                return

    def _call(self, saga: SagaState, recorded: RecordedEvent[Event]) -> tuple[IssuedCommand, ...]:
        known = self._definition.handler_of(type(recorded.event))
        assert known is not None
        handler = known.handler
        return issued_commands(handler.method(saga, *arguments(handler, recorded, {})), handler.method.__qualname__)

    def _follow_up(self, saga: SagaState, commands: tuple[IssuedCommand, ...]) -> None:
        """Issue the commands that a handler returned, and end the saga if the handler ended it."""
        if commands:
            self._issue(f"{FREE}:{self._issued + 1}", FREE, False, commands, False)
        if saga.ended:
            self._end(saga.ended, saga.reason)

    def _end(self, ended: str, reason: str) -> None:
        """End the saga as its code requested."""
        if self._status in ("running", "undoing"):
            self._status = ended
            self._events.append(SagaCompleted() if ended == "completed" else SagaFailed("", reason))

    def _take_rejection(self, intent: Open, answer: Answered) -> bool:
        """Pass a handler's rejected command to `@on_rejected`; return False if there is no such handler."""
        issued = intent.commands[answer.index]
        rejections = self._definition.rejections
        command_class = next((one for one in rejections if command_type_of(one) == issued.type), None)
        if command_class is None:
            return False
        handler = rejections[command_class]
        saga = self._saga()
        command = command_of(issued, command_class)
        rejection = Rejected(answer.error, **answer.details)
        wants = handler.__code__.co_argcount > 2
        try:
            returned = handler(saga, command, rejection) if wants else handler(saga, command)
            commands = issued_commands(returned, handler.__qualname__)
        except BaseException as raised:
            self._events.append(SagaFailed(intent.key, bug_text(handler, raised), not_done=(answer.index,)))
            return True
        self._state = as_recorded(state_of(saga))
        self._events.append(SagaMoved(f"rejection of {issued.type}", self._state))
        if len(intent.waiting) > 1:
            self._events.append(CommandAnswered(answer.key, answer.index))
        else:
            self._events.append(StepSucceeded(intent.key, intent.step, False))
        self._follow_up(saga, commands)
        return True

    def _succeed(
        self,
        key: str,
        step: str,
        undo: bool,
        commands: tuple[IssuedCommand, ...],
        changed: dict[str, Any] | None,
        *,
        go_on: bool = True,
    ) -> None:
        ended = reason = ""
        if changed is not None:
            changed = dict(changed)
            ended, reason = changed.pop("ended", ""), changed.pop("reason", "")
            if changed:
                self._state = as_recorded({**msgspec.json.decode(self._state), **changed})
        self._events.append(StepSucceeded(key, step, undo, self._state if changed else NOTHING, self._attempts))
        if undo:
            self._undone.append(step)
        elif step != FREE:
            self._done[step] = commands
        if ended:
            self._end(ended, reason)
        if go_on and undo and self._status == "undoing":
            self._undo_next()
        elif go_on and not undo and step != FREE and self._status == "running":
            self._go_on(step)

    def _fail(
        self,
        intent: Open,
        error: str,
        details: Any,
        took_effect: bool,
        effects: tuple[int, ...],
        not_done: tuple[int, ...] = (),
    ) -> None:
        definition = self._definition
        forward = intent.step == FREE or not definition.can_be_undone(intent.step)
        if intent.undo or forward or self._status != "running":
            self._events.append(SagaFailed(intent.key, error, self._attempts, not_done))
            return
        did = took_effect or bool(effects)
        self._events.append(StepFailed(intent.key, intent.step, False, error, details, did, effects, self._attempts))
        self._cause, self._status = error, "undoing"
        if did:
            self._done[intent.step] = tuple(intent.commands[index] for index in effects)
        self._undo_next()

    def _resume(self) -> None:
        """Continue now that no step is open."""
        steps = self._definition.steps
        if not steps or any(isinstance(event, StepIssued) and event.step != FREE for event in self._events):
            return
        if any(intent.step != FREE for intent in self._stream.open.values()):
            return
        if self._status == "undoing":
            self._undo_next()
        elif self._status == "running":
            self._go_on(next((name for name in reversed(steps) if name in self._done), ""))

    def _go_on(self, after: str) -> None:
        """Issue the next step that has something to do, or complete the saga."""
        while (step := self._definition.next_step(after)) is not None:
            if step.is_effect:
                self._issue(step.name, step.name, False, (), True)
                return
            saga = self._saga()
            before = as_json(saga)
            try:
                commands = issued_commands(step.method(saga), step.method.__qualname__)
                self._require_unchanged(saga, before)
            except BaseException as raised:
                self._events.append(SagaFailed(step.name, bug_text(step.method, raised)))
                return
            if commands or (step.until is not None and step.name not in self._stream.early):
                self._issue(step.name, step.name, False, commands, False)
                if saga.ended:
                    self._end(saga.ended, saga.reason)
                return
            self._events.append(StepSucceeded(step.name, step.name, False))
            self._done[step.name] = ()
            if saga.ended:
                self._end(saga.ended, saga.reason)
                return
            after = step.name
        self._events.append(SagaCompleted(self._take_success()))

    def _undo_next(self) -> None:
        """Issue the undo of the last step that is done but not undone; if there is none, the saga is undone."""
        saga = self._saga()
        before = as_json(saga)
        for name in reversed(self._done):
            if name in self._undone:
                continue
            step = self._definition.steps.get(name)
            if step is None:
                self._events.append(SagaFailed(name + UNDO, f"{name} is done, but the code has no such step to undo"))
                return
            if step.undo_method is None:
                continue
            try:
                commands = self._undoing(step, saga, self._done[name])
                self._require_unchanged(saga, before)
            except BaseException as raised:
                self._events.append(SagaFailed(name + UNDO, bug_text(step.undo_method, raised)))
                return
            if commands:
                self._issue(name + UNDO, name, True, commands, False)
                return
            self._events.append(StepSucceeded(name + UNDO, name, True))
            self._undone.append(name)
        self._events.append(SagaUndone(self._cause or ""))

    def _undoing(self, step: Step, saga: SagaState, done: tuple[IssuedCommand, ...]) -> tuple[IssuedCommand, ...]:
        """Return the commands that undo a step, given its commands that took effect."""
        undo = step.undo_method
        assert undo is not None, "a step without an undo is skipped"
        if not step.undo_wants_commands:
            return issued_commands(undo(saga), undo.__qualname__)
        known = self._stream.commands
        return issued_commands(undo(saga, [command_of(one, known[one.type]) for one in done]), undo.__qualname__)

    def _issue(
        self,
        key: str,
        name: str,
        undo: bool,
        commands: tuple[IssuedCommand, ...],
        effect: bool,
        form: int = ID_FORM,
        rounds: tuple[int | None, ...] = (),
    ) -> None:
        step = self._definition.steps.get(name)
        timeout_s = step.timeout_s if step is not None and not undo else None
        deadline_us = 0 if timeout_s is None else self._at_us + round(timeout_s * 1_000_000)
        self._issued += 1
        after = self._take_success()
        self._events.append(
            StepIssued(key, name, undo, commands, effect, deadline_us, form, self._headers, rounds, after)
        )

    def _take_success(self) -> StepSucceeded | None:
        """Remove and return the last event if it is the success of a step; it becomes part of the next event."""
        return self._events.pop() if self._events and type(self._events[-1]) is StepSucceeded else None

    def _waits_for_event(self, intent: Open) -> bool:
        step: Step | None = self._definition.steps.get(intent.step)
        return step is not None and step.until is not None and not intent.undo and not intent.arrived

    def _require_unchanged(self, saga: SagaState, before: bytes) -> None:
        """Raise TypeError if a step or an undo changed a field since `before`: nothing would record the change."""
        if as_json(saga) == before:
            return
        recorded = self._saga()
        recorded.ended, recorded.reason = saga.ended, saga.reason
        if saga != recorded:
            names = [name for name in saga.__struct_fields__ if getattr(saga, name) != getattr(recorded, name)]
            raise TypeError(
                f"it changed {', '.join(names)}: a step and an undo may only read the saga's fields; change them in a "
                "@starts or @on method, or in an async step"
            )

    def _saga(self) -> SagaState:
        return saga_of(self._definition.saga_class, self._state, self._stream.id, self._cause or self._stream.reason)
