"""`View`: the state of everything, folded from the durable log; invariants are stated over it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, command_type_of
from actorium.actors.definition import AggregateDefinition
from actorium.application import Runtime
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream
from actorium.simulation.record.witness import Witness
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, Event, RecordedEvent, as_json
from actorium.store.names import StreamName

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)

_OPEN = ("running", "undoing")


class SagaSeen(msgspec.Struct, frozen=True):
    """A saga according to the log: `status` is running, undoing, completed, undone or failed; `state` holds its
    fields.
    """

    type: str
    id: str
    status: str
    reason: str
    state: dict[str, Any]


class View:
    """The current state of all aggregates and sagas, from the log; each call includes the newest commit."""

    def __init__(self, witness: Witness, runtime: Runtime) -> None:
        self._witness = witness
        self.use_classes(runtime)

    def use_classes(self, runtime: Runtime) -> None:
        """Use the classes of a runtime from now on, and fold everything again with them."""
        self._codec: EventCodec = runtime.catalog.codec
        catalog = runtime.catalog
        self._classes: dict[str, type[Aggregate]] = {
            one.__definition__.stream_type: one for one in (*catalog.aggregates, *catalog.own_aggregates)
        }
        self._commands = {
            command: one.__definition__ for one in catalog.aggregates for command in one.__definition__.handlers
        }
        self._processes = {one.__definition__.stream_type for one in catalog.own_aggregates}
        self._saga_types = {one.__definition__.saga_type: one for one in runtime.catalog.sagas}
        self._recorded: list[tuple[RecordedEvent[Event], ...]] = []
        self._by_type: dict[str, dict[str, Any]] = {}
        self._seen: dict[tuple[str, str], SagaSeen] = {}  # a tuple has a faster hash than a StreamName
        self._position = 0

    @property
    def position(self) -> int:
        """The position of the last event in the log."""
        return self._witness.position

    @property
    def records(self) -> Sequence[EncodedRecord]:
        """The whole log, as stored."""
        return self._witness.records

    def records_of(self, stream: StreamName) -> Sequence[EncodedRecord]:
        """Return the stored records of one stream."""
        return self._witness.streams.get(stream, ())

    def over(self, witness: Witness) -> View:
        """Return a view over another witness, with the same classes."""
        other = copy.copy(self)
        other._witness, other._position = witness, 0
        other._recorded, other._by_type, other._seen = [], {}, {}
        return other

    def all(self, aggregate: type[A]) -> list[A]:
        """Return the states of all aggregates of a class, in the order of their first events."""
        self._catch_up()
        return list(self._by_type.get(aggregate.__definition__.stream_type, {}).values())

    def get(self, aggregate: type[A], id: str) -> A | None:
        """Return the state of one aggregate; None if its stream is empty."""
        self._catch_up()
        state: A | None = self._by_type.get(aggregate.__definition__.stream_type, {}).get(id)
        return state

    def sagas(
        self, saga: type[Saga] | None = None, *, open: bool | None = None, status: str | None = None
    ) -> list[SagaSeen]:
        """Return the sagas, of one class or all, in the order in which they began; open ones, or those that ended."""
        found = [self._as_seen(stream) for stream in self.saga_streams(saga)]
        if open is not None:
            found = [one for one in found if (one.status in _OPEN) is open]
        return [one for one in found if status is None or one.status == status]

    def saga_streams(self, saga: type[Saga] | None = None) -> list[SagaStream]:
        """Return the sagas' internal states, as the runtime keeps them."""
        self._catch_up()
        types = list(self._saga_types) if saga is None else [saga.__definition__.saga_type]
        return [state for one in types for state in self._by_type.get(one, {}).values()]

    def events(self, *classes: type[E]) -> Iterator[RecordedEvent[E]]:
        """Iterate over the recorded events of the given classes, in the order of the log."""
        wanted = self._codec.with_subclasses(classes)
        for record in self._witness.records:
            if self._codec.may_become(record, wanted):
                for recorded in self.recorded(record.position):
                    if isinstance(recorded.event, classes):
                        yield recorded  # type: ignore[misc]

    def class_of(self, stream_type: str) -> type[Aggregate] | None:
        """Return the aggregate class of a stream type."""
        return self._classes.get(stream_type)

    def stream_of(self, command: Command) -> StreamName:
        """Return the stream a command is addressed to."""
        return StreamName(self._commands[type(command)].stream_type, command.to)

    def definition_of(self, command: Command) -> AggregateDefinition[Aggregate]:
        """Return the definition of the aggregate a command is addressed to."""
        return self._commands[type(command)]

    def as_received(self, command: Command) -> Command:
        """Return a command of another service as it is decoded here; the same command if it does not fit."""
        for known in self._commands:
            if command_type_of(known) == command_type_of(type(command)):
                with suppress(msgspec.DecodeError):
                    return msgspec.json.decode(as_json(command), type=known)
        return command

    def is_process(self, stream_type: str) -> bool:
        """Return whether streams of a type belong to sagas or submitted commands."""
        return stream_type in self._processes

    def is_saga(self, stream_type: str) -> bool:
        """Return whether streams of a type belong to sagas."""
        return stream_type in self._saga_types

    def recorded(self, position: int) -> tuple[RecordedEvent[Event], ...]:
        """Return the events of the record at a position, decoded once for all checks."""
        known, records = self._recorded, self._witness.records
        while len(known) < position:
            known.append(self._codec.recorded(records[len(known)]))
        return known[position - 1]

    def evolve(self, state: Any, record: EncodedRecord) -> None:
        """Apply a record to a state."""
        evolvers = type(state).__definition__.evolvers
        for recorded in self.recorded(record.position):
            evolvers[type(recorded.event)](state, recorded.event)

    def empty(self, stream: StreamName) -> Any:
        """Return the initial state of a stream."""
        return self._classes[stream.type](stream.id)

    def _catch_up(self) -> None:
        if self._position == self._witness.position:
            return
        for record in self._witness.records[self._position :]:
            if record.stream.type not in self._classes:
                continue
            states = self._by_type.setdefault(record.stream.type, {})
            state = states.get(record.stream.id)
            if state is None:
                state = states[record.stream.id] = self.empty(record.stream)
            self.evolve(state, record)
            self._seen.pop((record.stream.type, record.stream.id), None)
        self._position = self._witness.position

    def _as_seen(self, stream: SagaStream) -> SagaSeen:
        type_, id_ = stream.saga.saga_type, stream.id
        seen = self._seen.get((type_, id_))
        if seen is None:
            state = msgspec.json.decode(stream.state)
            seen = self._seen[type_, id_] = SagaSeen(type_, id_, stream.status, stream.reason, state)
        return seen
