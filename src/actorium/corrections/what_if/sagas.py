"""`SagaRuns`: the sagas of a run. Their commands are carried out in the run; their external effects are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actorium.actors.commands import Command
from actorium.actors.errors import Rejected
from actorium.catalog import Catalog
from actorium.corrections.what_if.decisions import Decision, States
from actorium.corrections.what_if.recorded import RecordedLog
from actorium.runtime.commands.derived_ids import bounded
from actorium.runtime.processors.event_handlers import nearest
from actorium.sagas.execution.router import saga_id_of
from actorium.sagas.model.events import (
    NOTHING,
    CommandAnswered,
    IssuedCommand,
    SagaCompleted,
    SagaFailed,
    SagaMoved,
    SagaRepaired,
    SagaStarted,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.sagas.model.intents import ID_FORM, IntentKey
from actorium.sagas.model.messages import Answered, Happened, Repair
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream
from actorium.store.events import Event, Metadata, RecordedEvent
from actorium.store.names import StreamName, event_id
from actorium.store.raised import error_text, let_through

_ALL = -1


class PendingCommand(msgspec.Struct):
    """A command that a saga issued and that was not carried out yet."""

    id: str
    stream: StreamName
    key: str
    index: int
    issued: IssuedCommand
    metadata: Metadata


class IssuedStep(msgspec.Struct, frozen=True):
    """A step that a saga issued: its key, and its commands or, for an effect, the saga's fields."""

    key: str
    content: tuple[tuple[str, bytes], ...]


class SagaRuns:
    """The sagas of one run.

    waiting: the commands that are carried out where the log has them, by id.
    ready: the commands that the log does not have: they are carried out at once.
    steps: what each saga issued, in order.
    """

    def __init__(self, catalog: Catalog, log: RecordedLog, states: States) -> None:
        self._log = log
        self._states = states
        self._streams = {saga.__definition__.saga_type: stream for saga, stream in catalog.saga_streams.items()}
        self._followed: dict[type[Event], list[type[Saga]]] = {}
        self._catalog = catalog
        self.sagas: dict[StreamName, SagaStream] = {}
        self.waiting: dict[str, PendingCommand] = {}
        self.ready: list[PendingCommand] = []
        self.passed: set[str] = set()
        self.steps: dict[StreamName, list[IssuedStep]] = {}
        self.broken: dict[StreamName, str] = {}
        self._recorded_states: dict[StreamName, dict[str, Any]] = {}

    def happened(self, recorded: RecordedEvent[Event], *, is_new: bool) -> None:
        """Deliver an event to the sagas that it starts or concerns.

        is_new: the log does not have this event, so it does not say whether it reached a saga.
        """
        for saga in self._followers(type(recorded.event)):
            definition = saga.__definition__
            try:
                id = saga_id_of(definition, recorded, bounded(recorded.event_id))
            except BaseException as raised:
                let_through(raised)
                continue
            if id is None:
                continue
            stream = StreamName(definition.saga_type, id)
            if is_new or stream in self._log.sagas:
                self._decide(stream, Happened(id, recorded, recorded.recorded_us), recorded.metadata)

    def _followers(self, event_class: type[Event]) -> Sequence[type[Saga]]:
        found = self._followed.get(event_class)
        if found is None:
            found = self._followed[event_class] = [
                saga
                for saga in self._catalog.sagas
                if nearest(dict.fromkeys(saga.__definition__.event_classes, True), event_class)
            ]
        return found

    def answered(self, pending: PendingCommand, decision: Decision, at_us: int) -> None:
        """Report the outcome of a command to its saga."""
        error, details = ("", {}) if decision.outcome == "accepted" else (decision.reason, decision.details)
        answer = Answered(pending.stream.id, pending.key, pending.index, at_us, error, details)
        self._decide(pending.stream, answer, pending.metadata)

    def pending_at(self, recorded: RecordedEvent[Event]) -> list[PendingCommand]:
        """Return the commands of whose outcome an event of a saga's stream tells, if none of their events did."""
        stream = self.sagas.get(recorded.stream)
        found = _answer_in(recorded.event)
        if stream is None or found is None or found.key not in stream.open:
            return []
        intent = stream.open[found.key]
        if intent.effect or _is_past(intent.deadline_us, recorded):
            return []
        indexes = sorted(intent.waiting) if found.index == _ALL else [found.index]
        chosen = [one for one in self.waiting.values() if one.stream == recorded.stream and one.key == found.key]
        return [self.waiting.pop(one.id) for one in chosen if one.index in indexes]

    def told(self, recorded: RecordedEvent[Event]) -> None:
        """Take from an event of a saga's stream what a run cannot know: the result of an effect, or an operator."""
        event, name = recorded.event, recorded.stream
        changed = self._changed(name, event)
        stream = self.sagas.get(name)
        if stream is None:
            return
        if isinstance(event, SagaRepaired):
            if stream.status == "failed":
                self._decide(name, Repair(name.id, event.action, event.reason, recorded.recorded_us), Metadata())
            return
        found = _answer_in(event)
        intent = stream.open.get(found.key) if found is not None else None
        if found is None or intent is None:
            return
        if intent.effect:
            answer = Answered(
                name.id, found.key, 0, recorded.recorded_us, found.error, found.details, found.took_effect, (), changed
            )
            self._decide(name, answer, recorded.metadata)
        elif _is_past(intent.deadline_us, recorded):
            late = Answered(name.id, found.key, _ALL, recorded.recorded_us, found.error, found.details)
            self._decide(name, late, recorded.metadata)

    def _changed(self, name: StreamName, event: Event) -> dict[str, Any] | None:
        """Return the fields of a saga that an event of its stream changes; None if it changes none."""
        state = event.state if isinstance(event, SagaStarted | SagaMoved | StepSucceeded) else NOTHING
        if isinstance(event, StepIssued | SagaCompleted) and event.after is not None:
            state = event.after.state
        if state == NOTHING:
            return None
        now: dict[str, Any] = msgspec.json.decode(state)
        before = self._recorded_states.get(name, {})
        self._recorded_states[name] = now
        return {field: value for field, value in now.items() if before.get(field, NOTHING) != value}

    def _decide(self, name: StreamName, report: Command, metadata: Metadata) -> None:
        stream = self.sagas.get(name)
        if stream is None:
            stream = self.sagas[name] = self._streams[name.type](name.id)
        stream_class = type(stream)
        before, stream_class.commands = stream_class.commands, self._states.commands
        try:
            events = stream_class.__definition__.handlers[type(report)].method(stream, report, metadata)
            for event in events:
                stream_class.__definition__.evolvers[type(event)](stream, event)
        except Rejected:
            return  # it is stuck, and waits for an operator
        except BaseException as raised:
            let_through(raised)
            self.broken[name] = error_text(raised)
            return
        finally:
            stream_class.commands = before
        for event in events:
            if isinstance(event, StepIssued):
                self._issued(name, stream, event)

    def _issued(self, name: StreamName, stream: SagaStream, event: StepIssued) -> None:
        key = IntentKey(name.type, name.id, event.key)
        fields = ("", bytes(stream.state)) if event.effect else None
        content = (fields,) if fields else tuple((one.type, bytes(one.fields)) for one in event.commands)
        self.steps.setdefault(name, []).append(IssuedStep(event.key, content))
        if event.effect:
            if key not in self._log.effects:
                done = Answered(name.id, event.key, 0, 0)
                self._decide(name, done, Metadata())
            return
        intent = stream.open.get(event.key)
        cause = event_id(name, intent.version if intent is not None else stream.version)
        for index, issued in event.sent.items():
            id = str(key.command_id(index, ID_FORM, (event.rounds[index] or 0) if event.rounds else 0))
            metadata = Metadata(id, stream.correlation_id, cause, {**stream.headers, **event.headers})
            pending = PendingCommand(id, name, event.key, index, issued, metadata)
            if id in self._log.issued and id not in self.passed:
                self.waiting[id] = pending
            else:
                self.ready.append(pending)


class _Answer(msgspec.Struct):
    """What an event of a saga's stream says about an intent."""

    key: str
    index: int = _ALL
    error: str = ""
    details: Any = {}
    took_effect: bool = False


def _answer_in(event: Event) -> _Answer | None:
    match event:
        case CommandAnswered():
            return _Answer(event.key, event.index, event.error, event.details)
        case StepSucceeded():
            return _Answer(event.key)
        case StepFailed():
            return _Answer(event.key, _ALL, event.reason, event.details, event.took_effect)
        case SagaFailed():
            return _Answer(event.key, _ALL, event.reason)
        case StepIssued() | SagaCompleted() if event.after is not None:
            return _Answer(event.after.key)
    return None


def _is_past(deadline_us: int, recorded: RecordedEvent[Event]) -> bool:
    """Return whether a step failed because of its deadline."""
    return bool(deadline_us and recorded.recorded_us >= deadline_us and isinstance(recorded.event, StepFailed))
