"""Given / when / then for one aggregate, without a database or an event loop."""

from __future__ import annotations

import copy
from typing import Any

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command
from actorium.actors.errors import AlreadyExists, NotFound, Rejected
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError, Refused
from actorium.store.events import Event, Metadata, as_json
from actorium.testing.personal_data import as_encrypted

_MAX_PAYLOAD_BYTES = 1_048_576


def given(aggregate: Aggregate, *history: Event) -> Given:
    """Start a test with an aggregate and its past events: `given(Account("alice"), Opened("Alice"))`."""
    return Given(aggregate, history)


class Given:
    """An aggregate with past events, ready for a command."""

    def __init__(self, aggregate: Aggregate, history: tuple[Event, ...]) -> None:
        what: object = aggregate
        if not isinstance(what, Aggregate):
            name = getattr(what, "__name__", type(what).__name__)
            raise ConfigurationError(f'given(…) takes an aggregate with its id, such as given({name}("a")), not {name}')
        self._definition = aggregate.__definition__
        self._state = copy.deepcopy(aggregate)
        self._codec = EventCodec(self._definition.evolvers)
        self._version = len(history)
        _evolve(self._state, self._stored(history))

    def when(self, command: Command, metadata: Metadata | None = None) -> When:
        """Let the aggregate decide a command as the runtime would: check that the handler is pure, and encode the
        events as JSON.
        """
        handler = self._definition.handlers.get(type(command))
        if handler is None:
            raise ConfigurationError(f"{type(self._state).__name__} has no handler for {type(command).__name__}")
        if command.to != self._state.id:
            raise ConfigurationError(
                f"{type(command).__name__} is for {command.to!r}, but given(…) has "
                f"{type(self._state).__name__}({self._state.id!r})"
            )
        checked, _ = handler.codec.admit(as_encrypted(command, command.to), _MAX_PAYLOAD_BYTES)
        before = copy.deepcopy(self._state)
        refusal: Exception | None = None
        decided: Any = None
        try:
            if self._definition.has_create and self._version == 0 and not handler.creates:
                raise NotFound(f"{type(command).__name__} needs an existing aggregate")
            if handler.creates and self._version:
                raise AlreadyExists(f"{type(command).__name__} needs an aggregate that does not exist yet")
            arguments = (metadata or Metadata(command_id="test"),) if handler.wants_metadata else ()
            decided = handler.method(self._state, checked, *arguments)
        except Refused as no:
            refusal = no
        if self._state != before:
            raise AssertionError(
                f"{handler.method.__qualname__} changed the state from {before!r} to {self._state!r}: only @evolve may "
                "do that"
            )
        if refusal is not None:
            return When(before, (), refusal)
        events = self._stored(() if decided is None else (decided,) if isinstance(decided, Event) else tuple(decided))
        _evolve(self._state, events)
        return When(self._state, events, None)

    def _stored(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        ready = (as_encrypted(event, self._state.id) for event in events)
        return tuple(self._codec.encode(event, as_json(None))[1] for event in ready)


class When:
    """The outcome of a command; each `then…` method checks one thing and returns the object, so that calls can be
    chained.
    """

    def __init__(self, state: Aggregate, events: tuple[Event, ...], refusal: Exception | None) -> None:
        self.state = state
        self.events = events
        self.refusal = refusal

    def then(self, *events: Event) -> When:
        """Check that the command produced exactly these events, in this order."""
        self._accepted()
        if self.events != tuple(as_encrypted(event, self.state.id) for event in events):
            raise AssertionError(f"expected {_listed(events)}, got {_listed(self.events)}")
        return self

    def then_nothing(self) -> When:
        """Check that the command was accepted without events."""
        return self.then()

    def then_state(self, **fields: Any) -> When:
        """Check fields of the resulting state."""
        self._accepted()
        for name, expected in fields.items():
            actual = getattr(self.state, name)
            if actual != expected:
                raise AssertionError(f"expected {name}={expected!r}, got {name}={actual!r} in {self.state!r}")
        return self

    def then_rejected(self, reason: str | None = None, **details: Any) -> When:
        """Check that the command was rejected for this reason, with at least these details."""
        refusal = self.refusal
        if not isinstance(refusal, Rejected):
            raise AssertionError(f"expected a rejection, got {refusal or _listed(self.events)!r}")
        if reason is not None and refusal.reason != reason:
            raise AssertionError(f"expected the rejection {reason!r}, got {refusal.reason!r}")
        for name, expected in details.items():
            if refusal.details.get(name) != expected:
                raise AssertionError(f"expected the detail {name}={expected!r}, got {refusal.details!r}")
        return self

    def then_not_found(self) -> When:
        """Check that the command was refused because it needs an existing aggregate."""
        return self._refused_with(NotFound)

    def then_already_exists(self) -> When:
        """Check that the command was refused because the aggregate already exists."""
        return self._refused_with(AlreadyExists)

    def _refused_with(self, kind: type[Exception]) -> When:
        if not isinstance(self.refusal, kind):
            raise AssertionError(f"expected {kind.__name__}, got {self.refusal or _listed(self.events)!r}")
        return self

    def _accepted(self) -> None:
        if self.refusal is not None:
            raise AssertionError(
                f"expected the command to be accepted, got {type(self.refusal).__name__}: {self.refusal}"
            )


def _evolve(state: Aggregate, events: tuple[Event, ...]) -> None:
    evolvers = state.__definition__.evolvers
    for event in events:
        evolvers[type(event)](state, event)


def _listed(events: tuple[Event, ...]) -> str:
    return ", ".join(map(repr, events)) or "no events"
