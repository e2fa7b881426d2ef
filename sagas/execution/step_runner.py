"""`StepRunner`: carries out the steps of sagas: their commands, their effects and their deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from actorium.actors.errors import Rejected
from actorium.runtime.commands.derived_ids import effect
from actorium.runtime.commands.inherited import because_of
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.processors.reactions import IdempotencyKey
from actorium.runtime.retry import Retry
from actorium.sagas.execution.command_runner import CommandRunner, Report, attempt_failed, said
from actorium.sagas.execution.services import Services
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import IssuedCommand, as_recorded
from actorium.sagas.model.intents import Intent, IntentKey
from actorium.sagas.model.messages import Answered, Broke
from actorium.sagas.model.progress import Open
from actorium.sagas.model.recording import saga_of, state_of
from actorium.sagas.model.state import SagaState
from actorium.sagas.model.steps import DEFAULT_STEP_RETRY
from actorium.sagas.model.stream import SagaStream
from actorium.store.errors import ActoriumError, Refused, Transient
from actorium.store.events import as_json
from actorium.store.names import StreamName, event_id
from actorium.store.raised import let_through, text_of
from actorium.store.shapes.round_trip import InvalidMessage

_ABSENT = object()
_ALL = -1  # the index that represents all open commands of a step


class StepRunner(CommandRunner):
    """The policy for saga steps; `definitions` are those of the sagas by type."""

    # A transient error says nothing about the step: it waits, within its `timeout_s`, without using up an attempt.
    patience = Retry(attempts=1, backoff_s=0.05, backoff_max_s=5.0)

    def __init__(self, definitions: Mapping[str, SagaDefinition], services: Services) -> None:
        super().__init__(services, SagaStream.__definition__.handlers)
        self._definitions = definitions
        self._max_payload_bytes = services.max_payload_bytes

    async def recorded(self, key: IntentKey) -> Intent | None:
        """Return the open part of a step, as recorded by its saga; None if the step is over."""
        stream: SagaStream = await self._state(key)
        intent = stream.open.get(key.key)
        if intent is None:
            return None
        commands = {index: intent.commands[index] for index in sorted(intent.waiting) if not intent.effect}
        if not commands and not intent.effect and intent.deadline_us == 0:
            return None
        return _intent(key, stream, intent, commands)

    def retry_of(self, key: IntentKey, intent: Intent) -> Retry:
        """Return the step's retry policy."""
        step = self._definitions[key.owner].steps.get(intent.step)
        return DEFAULT_STEP_RETRY if step is None else step.retry

    def is_final(self, key: IntentKey, intent: Intent, error: Exception) -> bool:
        """Return whether a rejection ends the step: an undo, or a step after the pivot, is retried instead."""
        if not isinstance(error, Refused):
            return False
        definition = self._definitions[key.owner]
        must_be_done = intent.step in definition.steps and (intent.undo or not definition.can_be_undone(intent.step))
        return not must_be_done

    def counts(self, error: Exception) -> bool:
        """Return whether an error uses up an attempt of the step."""
        return not isinstance(error, Transient)

    def outcome(self, key: IntentKey, index: int, error: BaseException | None, attempts: int, **more: Any) -> Answered:
        """Return the outcome of one command as a report to the saga; `more` holds the fields that only an effect
        has.
        """
        if error is None:
            return Answered(key.id, key.key, index, self._source.now_us(), attempts=attempts, **more)
        return Answered(key.id, key.key, index, self._source.now_us(), *said(error), attempts=attempts, **more)

    def broken(self, key: IntentKey, trouble: ActoriumError) -> Broke:
        """Report that the saga is stuck, with the reason for an operator."""
        return Broke(key.id, key.key, text_of(trouble))

    async def effect(self, key: IntentKey, intent: Intent) -> None:
        """Call an async step until it returns or is rejected, then report it."""
        definition = self._definitions[key.owner]
        step = definition.steps[intent.step]
        effect_key = key.effect_key(0)
        arguments = (IdempotencyKey(effect_key),) if step.method.__code__.co_argcount > 1 else ()
        error: BaseException | None = None
        state: dict[str, Any] | None = None
        attempt = 0
        while True:
            attempt += 1
            stream: SagaStream = await self._state(key)
            saga = saga_of(definition.saga_class, stream.state, key.id, stream.reason)
            try:
                inheriting = because_of(intent.flow_id, intent.causation_id, intent.headers)
                with effect(effect_key if intent.id_form else ""), inheriting:
                    await step.method(saga, *arguments)
                state = _changes(msgspec.json.decode(stream.state), saga, self._max_payload_bytes)
                error = None
                break
            except Rejected as refusal:
                error = refusal
                break
            except BaseException as raised:
                let_through(raised)
                if isinstance(raised, RuntimeClosed) and self._is_stopping():
                    raise
                error = raised
            is_last = attempt >= step.retry.attempts
            wait_s = None if is_last else step.retry.wait_s(attempt, self._source)
            attempt_failed(key, error, attempt, wait_s)
            if wait_s is None:
                break
            await asyncio.sleep(wait_s)
        # A failed effect may have happened nevertheless: it is undone with the rest, unless it was refused.
        took_effect = error is not None and not isinstance(error, Rejected)
        answer = self.outcome(key, 0, error, attempt, took_effect=took_effect, state=state)
        await self.report(key, intent, Report(answer, intent.causation_id))

    async def past_deadline(self, key: IntentKey) -> bool:
        """Record that a step is over at its deadline; return False if the deadline has moved.

        Each open command is recorded as not done, or found to have taken effect.
        """
        stream: SagaStream = await self._state(key)
        known = stream.open.get(key.key)
        if known is None:
            return True
        if known.deadline_us > self._source.now_us():  # it was issued again, with a new deadline
            return False
        step = self._definitions[key.owner].steps.get(known.step)
        waited = f" within {step.timeout_s:.12g} s" if step is not None and step.timeout_s is not None else ""
        error = known.error or f"{known.step} did not finish{waited}"
        at_us = self._source.now_us()
        intent = _intent(key, stream, known, {})
        waiting = [] if known.effect else sorted(known.waiting)
        effects: list[int] = []
        for index in waiting:
            not_done = Answered(key.id, key.key, index, at_us, error, known.details)
            taken_id, service = intent.command_id(key, index), self.service_of(known.commands[index])
            if not await self.tell(key, intent, Report(not_done, intent.causation_id, taken_id, service)):
                effects.append(index)
        if effects or not waiting:  # otherwise the last report has ended the step
            end = Answered(key.id, key.key, _ALL, at_us, error, known.details, known.effect, tuple(effects))
            await self.tell(key, intent, Report(end, intent.causation_id))
        return True


def _intent(key: IntentKey, stream: SagaStream, known: Open, commands: dict[int, IssuedCommand]) -> Intent:
    """Return an intent as recorded by its saga, with only these commands."""
    return Intent(
        known.step,
        known.undo,
        commands,
        known.effect,
        stream.correlation_id,
        event_id(StreamName(key.owner, key.id), known.version),
        known.deadline_us,
        known.headers,
        known.id_form,
        known.rounds,
    )


def _changes(before: dict[str, Any], saga: SagaState, max_payload_bytes: int) -> dict[str, Any]:
    """Return the fields that an effect changed, and how it ended its saga if it did.

    Raises TypeError, ValueError or msgspec.ValidationError if a field cannot be stored as JSON and read back, and
    InvalidMessage if the fields are too large for the saga's event.
    """
    changed = {name: value for name, value in state_of(saga).items() if before.get(name, _ABSENT) != value}
    msgspec.json.decode(as_recorded({**before, **changed}), type=type(saga))
    size_bytes = len(as_json(changed))
    if size_bytes > max_payload_bytes:
        raise InvalidMessage(
            f"its changes to the saga take {size_bytes} bytes, but the limit max_payload_bytes is {max_payload_bytes}"
        )
    return {**changed, "ended": saga.ended, "reason": saga.reason} if saga.ended else changed
