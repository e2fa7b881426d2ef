"""`View`: the state of everything, folded from what is durable: what invariants speak about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from actorium.actors.aggregate import Aggregate
from actorium.sagas.runtime import Runtime
from actorium.sagas.saga import Saga
from actorium.simulation.witness import Witness
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, Event, RecordedEvent, StreamName

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)

_OPEN = ("running", "undoing")


class View:
    """All aggregates and sagas as the log has them now; each call sees the newest commit."""

    def __init__(self, witness: Witness, runtime: Runtime) -> None:
        self._witness = witness
        self._codec: EventCodec = runtime.catalog.codec
        catalog = runtime.catalog
        self._classes: dict[str, type[Aggregate]] = {
            one.__definition__.stream_type: one for one in (*catalog.aggregates, *catalog.processes)
        }
        self._saga_types = {one.__definition__.saga_type: one for one in runtime.saga_classes}
        self._states: dict[StreamName, Any] = {}
        self._by_type: dict[str, dict[str, Any]] = {}
        self._position = 0

    @property
    def position(self) -> int:
        """The end of the log."""
        return self._witness.position

    def all(self, aggregate: type[A]) -> list[A]:
        """Return the states of all aggregates of a class, in the order in which they began."""
        self._catch_up()
        return list(self._by_type.get(aggregate.__definition__.stream_type, {}).values())

    def get(self, aggregate: type[A], id: str) -> A | None:
        """Return the state of one aggregate; None if its stream is empty."""
        self._catch_up()
        state: A | None = self._by_type.get(aggregate.__definition__.stream_type, {}).get(id)
        return state

    def sagas(
        self, saga: type[Saga] | None = None, *, open: bool | None = None, status: str | None = None
    ) -> list[Any]:
        """Return the sagas, of one class or all: their `id`, `status`, `reason` and `state`; open ones, or others."""
        self._catch_up()
        types = list(self._saga_types) if saga is None else [saga.__definition__.saga_type]
        found = [state for one in types for state in self._by_type.get(one, {}).values()]
        if open is not None:
            found = [state for state in found if (state.status in _OPEN) is open]
        return [state for state in found if status is None or state.status == status]

    def events(self, *classes: type[E]) -> Iterator[RecordedEvent[E]]:
        """Iterate over the recorded events of some classes, in the order of the log."""
        for record in self._witness.records:
            if self._codec.may_become(record, classes):
                for recorded in self._codec.recorded(record):
                    if isinstance(recorded.event, classes):
                        yield recorded  # type: ignore[misc]

    def class_of(self, stream_type: str) -> type[Aggregate] | None:
        """Return the aggregate class that a kind of stream belongs to."""
        return self._classes.get(stream_type)

    def state_at(self, stream: StreamName, version: int) -> Any:
        """Return the state of a stream after one of its versions, folded anew; None for version 0."""
        return self.fold(stream, self._witness.streams.get(stream, [])[:version])

    def fold(self, stream: StreamName, records: Sequence[EncodedRecord]) -> Any:
        """Return the state that records make of an empty stream; None for none."""
        if not records:
            return None
        state = self._classes[stream.type](stream.id)
        for record in records:
            self._evolve(state, record)
        return state

    def _catch_up(self) -> None:
        for record in self._witness.records[self._position :]:
            aggregate = self._classes.get(record.stream.type)
            if aggregate is None:
                continue
            states = self._by_type.setdefault(record.stream.type, {})
            state = states.get(record.stream.id)
            if state is None:
                state = states[record.stream.id] = aggregate(record.stream.id)
            self._evolve(state, record)
        self._position = self._witness.position

    def _evolve(self, state: Any, record: EncodedRecord) -> None:
        evolvers = type(state).__definition__.evolvers
        for event in self._codec.decode(record):
            evolvers[type(event)](state, event)
