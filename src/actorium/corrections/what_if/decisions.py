"""`States`: the states of aggregates in a run, and the decisions of their code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, CommandHandler, command_type_of
from actorium.actors.definition import AggregateDefinition
from actorium.actors.errors import AlreadyExists, NotFound
from actorium.actors.handlers.encryption import encrypting
from actorium.catalog import Catalog
from actorium.sagas.execution.command_runner import said
from actorium.store.errors import ConfigurationError, Refused
from actorium.store.events import Event, Metadata, RecordedEvent, event_type_of
from actorium.store.names import StreamName
from actorium.store.personal.values import encrypt_as_known
from actorium.store.raised import error_text, let_through

Outcome = Literal["accepted", "refused", "failed", "not sent", "left out"]


class Decision(msgspec.Struct, frozen=True):
    """What became of one command in a run.

    events: the decided events, each with its stored name and its JSON.
    reason: why it was refused or failed.
    details: those of a rejection.
    """

    stream: StreamName
    command: str
    outcome: Outcome
    events: tuple[tuple[str, bytes], ...] = ()
    reason: str = ""
    details: dict[str, Any] = {}

    @property
    def content(self) -> Any:
        """What another decision must equal, whatever the order of the fields in its JSON."""
        return self.outcome, self.reason, [(type, msgspec.json.decode(payload)) for type, payload in self.events]

    @property
    def shown(self) -> str:
        """The decision as text for a person."""
        if self.outcome == "accepted":
            return ", ".join(f"{type} {payload.decode()}" for type, payload in self.events) or "accepted, no events"
        return f"{self.outcome}: {self.reason}" if self.reason else self.outcome


class Made(msgspec.Struct):
    """A decision with its events as the state applies them."""

    decision: Decision
    events: Sequence[Event] = ()
    error: BaseException | None = None


class States:
    """The states of all aggregates of a run; `version` of a stream is the number of its events."""

    def __init__(self, catalog: Catalog) -> None:
        self._codec = catalog.codec
        self._definitions: dict[str, AggregateDefinition[Aggregate]] = {
            one.__definition__.stream_type: one.__definition__ for one in catalog.aggregates
        }
        self._handlers: dict[type[Command], tuple[str, CommandHandler]] = {
            command: (type, handler)
            for type, one in self._definitions.items()
            for command, handler in encrypting(one.handlers, type, one.evolvers, encrypt_as_known).items()
        }
        self.commands = {command_type_of(command): command for command in self._handlers}
        self.by_stream: dict[StreamName, Aggregate] = {}
        self.versions: dict[StreamName, int] = {}
        self.broken: dict[StreamName, str] = {}

    def has(self, stream_type: str) -> bool:
        """Return whether the code has the aggregates of a type of stream."""
        return stream_type in self._definitions

    def stream_of(self, command: Command) -> StreamName:
        """Return the stream that a command is for; raise ConfigurationError if nothing handles it."""
        known = self._handlers.get(type(command))
        if known is None:
            raise ConfigurationError(f"no aggregate handles {type(command).__name__}")
        return StreamName(known[0], command.to)

    def state(self, stream: StreamName) -> Aggregate:
        """Return the state of a stream, an empty one if it has no events."""
        state = self.by_stream.get(stream)
        if state is None:
            state = self.by_stream[stream] = self._definitions[stream.type].aggregate_class(stream.id)
        return state

    def decide(
        self,
        command: Command,
        metadata: Metadata,
        state: Aggregate | None = None,
        by: tuple[StreamName, CommandHandler] | None = None,
    ) -> Made:
        """Return the decision on a command, of a given state or of the one that its stream has now.

        by: the stream and the handler, for a command that is not the application's.
        """
        stream, handler = by or (self.stream_of(command), self._handlers[type(command)][1])
        name = command_type_of(type(command))
        state = self.state(stream) if state is None else state
        try:
            self._require_version(stream, handler, name)
            more = (metadata,) if handler.wants_metadata else ()
            decided = handler.method(state, command, *more)
            encoded = [self._codec.encode(event, b"") for event in _events(decided)]
        except Refused as refusal:
            return Made(Decision(stream, name, "refused", (), *said(refusal)), (), refusal)
        except BaseException as raised:
            let_through(raised)
            return Made(Decision(stream, name, "failed", (), error_text(raised)), (), raised)
        events = tuple((one.type, one.payload) for one, _ in encoded)
        return Made(Decision(stream, name, "accepted", events), [event for _, event in encoded])

    def _require_version(self, stream: StreamName, handler: CommandHandler, name: str) -> None:
        """Raise what an actor raises for a command that is not for the present version, in the same words."""
        version = self.versions.get(stream, 0)
        actor = f"{stream.type}<{stream.id}@{version}>"
        if not version and self._definitions[stream.type].has_create and not handler.creates:
            raise NotFound(f"{actor} does not exist: {name} needs an existing one")
        if version and handler.creates:
            raise AlreadyExists(f"{actor} already exists: {name} can only create a new one")

    def apply(
        self, stream: StreamName, events: Iterable[Event], metadata: Metadata, position: int, recorded_us: int
    ) -> list[RecordedEvent[Event]]:
        """Append events to a stream; return them as recorded, from a position on."""
        state, version = self.state(stream), self.versions.get(stream, 0)
        evolvers = self._definitions[stream.type].evolvers
        found: list[RecordedEvent[Event]] = []
        for event in events:
            version += 1
            recorded = RecordedEvent(
                stream.type, stream.id, version, position + len(found), event, metadata, recorded_us
            )
            found.append(recorded)
            evolve = evolvers.get(type(event))
            try:
                if evolve is None:
                    raise ConfigurationError(f"{stream.type} evolves no {event_type_of(type(event))}")
                evolve(state, event)
            except BaseException as raised:
                let_through(raised)
                self.broken[stream] = error_text(raised)
        self.versions[stream] = version
        return found


def _events(decided: Any) -> Iterable[Event]:
    if decided is None:
        return ()
    return (decided,) if isinstance(decided, Event) else decided
