"""Given / when / then for one saga, in virtual time, without a database or an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.actors.errors import Rejected
from actorium.sagas.model.events import IssuedCommand, StepIssued
from actorium.sagas.model.messages import Answered, Happened
from actorium.sagas.model.progress import Open
from actorium.sagas.model.recording import issued_command
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream, saga_stream_of
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, Metadata, RecordedEvent
from actorium.testing.personal_data import as_encrypted

_ALL = -1  # the index of an answer for the whole step


def given_saga(saga: type[Saga], *, started_by: Event, id: str = "saga") -> GivenSaga:
    """Start a test with a saga and its start event: `given_saga(Transfer, started_by=TransferRequested("a", "b", 5))`.

    saga: the class under test.
    started_by: an event that one of its `@starts` methods handles.
    id: the id of the saga.

    Raises ConfigurationError if the event does not start this saga.
    """
    what: object = saga
    if not (isinstance(what, type) and issubclass(what, Saga) and what is not Saga):
        raise ConfigurationError(f"given_saga(…) takes a Saga class, such as Transfer, not {what!r}")
    known = saga.__definition__.handler_of(type(started_by))
    if known is None or not known.is_start:
        raise ConfigurationError(
            f"{type(started_by).__name__} does not start {saga.__name__}: pass an event that a @starts method takes"
        )
    return GivenSaga(saga, id).when(started_by)


class GivenSaga:
    """A saga with its history so far.

    The `when…` methods and `after` say what happens next; the `then…` methods check the result of the last of them. All
    of them return the object, so that calls can be chained.
    """

    def __init__(self, saga: type[Saga], id: str) -> None:
        self._saga = saga
        stream_class = saga_stream_of(saga.__definition__)
        self._stream: SagaStream = stream_class(id)
        self._commands = _CommandsByName(saga.__module__)
        self._now_us = 0
        self._position = 0
        self._sent: list[IssuedCommand] = []

    # --- when -----------------------------------------------------------------------------------------------------

    def when(self, what: Event | Rejected) -> GivenSaga:
        """Deliver an event that the saga follows, or the rejection of its oldest open command.

        Raises ConfigurationError if the saga does not follow this event, or is not waiting for an answer.
        """
        if isinstance(what, Rejected):
            return self._answer(what.reason, what.details)
        event_class = type(what)
        if not issubclass(event_class, tuple(self._saga.__definition__.event_classes)):
            raise ConfigurationError(f"{self._saga.__name__} does not follow {event_class.__name__}")
        self._position += 1
        metadata = Metadata(command_id=f"test/{self._position}")
        recorded: RecordedEvent[Event] = RecordedEvent(
            "Test", "test", self._position, self._position, as_encrypted(what, "test"), metadata, self._now_us
        )
        return self._decide(Happened(self._stream.id, recorded, self._now_us))

    def when_done(self, **fields: Any) -> GivenSaga:
        """Acknowledge every open command, or let the open async step return.

        fields: the saga's fields that the async step changes.

        Raises ConfigurationError if the saga is not waiting for an answer.
        """
        intent, _ = self._waiting()
        if intent.effect:
            return self._decide(Answered(self._stream.id, intent.key, 0, self._now_us, state=fields))
        if fields:
            raise ConfigurationError(f"{intent.step} sends commands: only an async step changes the saga's fields")
        self._sent = []
        for index in sorted(intent.waiting):
            self._decide(Answered(self._stream.id, intent.key, index, self._now_us), forget=False)
        return self

    def when_failed(self, error: str) -> GivenSaga:
        """Let the oldest open command, or the open async step, fail permanently after its retries."""
        intent, _ = self._waiting()
        return self._answer(error, {}, took_effect=intent.effect)

    def after(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> GivenSaga:
        """Let time pass; a step whose `timeout_s` expires meanwhile fails without having taken effect."""
        passed = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        self._now_us += round(passed.total_seconds() * 1_000_000)
        self._sent = []
        for intent in list(self._stream.open.values()):
            if 0 < intent.deadline_us <= self._now_us:
                error = intent.error or f"{intent.step} did not finish in time"
                self._decide(Answered(self._stream.id, intent.key, _ALL, self._now_us, error), forget=False)
        return self

    # --- then -----------------------------------------------------------------------------------------------------

    def then_sends(self, *commands: Command) -> GivenSaga:
        """Check that exactly these commands were sent, in this order."""
        expected = [issued_command(as_encrypted(command, command.to)) for command in commands]
        if [_shown(one) for one in self._sent] != [_shown(one) for one in expected]:
            raise AssertionError(f"expected {_listed(expected)}, got {_listed(self._sent)} ({self._state_in_words()})")
        return self

    def then_sends_nothing(self) -> GivenSaga:
        """Check that no command was sent."""
        return self.then_sends()

    def then_state(self, **fields: Any) -> GivenSaga:
        """Check fields of the saga."""
        saga = msgspec.json.decode(self._stream.state, type=self._saga)
        for name, expected in fields.items():
            actual = getattr(saga, name)
            if actual != expected:
                raise AssertionError(f"expected {name}={expected!r}, got {name}={actual!r} in {saga!r}")
        return self

    def then_running(self) -> GivenSaga:
        """Check that the saga is still running."""
        return self._then("running")

    def then_completed(self) -> GivenSaga:
        """Check that the saga has ended with every step done."""
        return self._then("completed")

    def then_compensates(self) -> GivenSaga:
        """Check that the saga is compensating."""
        return self._then("undoing")

    def then_undone(self, reason: str | None = None) -> GivenSaga:
        """Check that the saga has ended with every step undone, for this reason."""
        return self._then("undone", reason)

    def then_stuck(self, reason: str | None = None) -> GivenSaga:
        """Check that the saga is stuck: it failed, for this reason, and waits for an operator."""
        return self._then("failed", reason)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _then(self, status: str, reason: str | None = None) -> GivenSaga:
        if self._stream.status != status or (reason is not None and self._stream.reason != reason):
            wanted = f"{status}: {reason}" if reason is not None else status
            raise AssertionError(f"expected the saga to be {wanted}, got {self._state_in_words()}")
        return self

    def _state_in_words(self) -> str:
        stream = self._stream
        at = ", ".join([*stream.open, *stream.stuck_at])
        because = f": {stream.reason}" if stream.reason else ""
        return f"{stream.status or 'not started'}{f' at {at}' if at else ''}{because}"

    def _waiting(self) -> tuple[Open, int]:
        for intent in self._stream.open.values():
            if intent.waiting:
                return intent, min(intent.waiting)
        raise ConfigurationError(f"{self._saga.__name__} is not waiting for an answer: it is {self._state_in_words()}")

    def _answer(self, error: str, details: Mapping[str, Any], *, took_effect: bool = False) -> GivenSaga:
        intent, index = self._waiting()
        answer = Answered(self._stream.id, intent.key, index, self._now_us, error, details, took_effect)
        return self._decide(answer)

    def _decide(self, command: Command, *, forget: bool = True) -> GivenSaga:
        stream_class = type(self._stream)
        if forget:
            self._sent = []
        before, stream_class.commands = stream_class.commands, self._commands
        try:
            handler = stream_class.__definition__.handlers[type(command)]
            events = handler.method(self._stream, command, Metadata())
        finally:
            stream_class.commands = before
        for event in events:
            stream_class.__definition__.evolvers[type(event)](self._stream, event)
            if isinstance(event, StepIssued):
                self._sent += event.commands
        return self


class _CommandsByName(dict[str, type[Command]]):
    """Finds a command class by its stored name, first in the saga's own module."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> type[Command]:
        found = [one for one in _subclasses(Command) if command_type_of(one) == name]
        found.sort(key=lambda one: one.__module__ != self._module)
        return found[0]


def _subclasses(base: type[Command]) -> list[type[Command]]:
    below = base.__subclasses__()
    return [*below, *(one for direct in below for one in _subclasses(direct))]


def _shown(issued: IssuedCommand) -> str:
    return f"{issued.type}({bytes(issued.fields).decode()})"


def _listed(issued: list[IssuedCommand]) -> str:
    return ", ".join(map(_shown, issued)) or "no commands"
