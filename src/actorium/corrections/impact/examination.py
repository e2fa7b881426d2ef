"""`examine`: finds what some events touched, in a log that may be in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from actorium.actors.aggregate import Aggregate
from actorium.actors.hydration import replay
from actorium.actors.snapshots import fingerprint_of
from actorium.catalog import Catalog
from actorium.corrections.impact.closure import Caused, closure
from actorium.corrections.impact.report import (
    Impact,
    TouchedEvent,
    TouchedFollower,
    TouchedProjection,
    TouchedStream,
)
from actorium.corrections.impact.selection import Selection, selected, stream_records
from actorium.corrections.impact.touched_rows import touched_rows
from actorium.runtime.projections.table_projection import checkpoint_name
from actorium.runtime.services.service import Service
from actorium.sagas.model.stream import SagaStream
from actorium.sagas.model.submissions import Submission
from actorium.store.codec import EventCodec
from actorium.store.errors import StatementFailed
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.events import EncodedRecord, Event, RecordedEvent
from actorium.store.names import StreamName, event_id

_SUBSCRIPTION = "subscription "
_ALL_CHECKPOINTS = "SELECT name, position FROM checkpoints ORDER BY name"


class Examined(NamedTuple):
    """What some events touched in one log.

    parts: the touched events, each with the events that today's code reads in its place.
    """

    impact: Impact
    parts: Sequence[tuple[TouchedEvent, Sequence[RecordedEvent[Event]]]]


async def examine(store: EventStore, catalog: Catalog, selection: Selection, service: Service | None = None) -> Impact:
    """Return what the selected events touched in this log; the store is open, and nothing in it changes.

    service: what the application is to other services.

    Raises NotFound for an id that names no event, and UnreadableEvent for an event that cannot be read.
    """
    return (await examined(store, catalog, selection, service)).impact


async def examined(store: EventStore, catalog: Catalog, selection: Selection, service: Service | None) -> Examined:
    """Return what `examine` returns, with the events."""
    head = (await store.head()).position
    chosen = await selected(store, catalog.codec, selection)
    caused = await closure(store, catalog.codec, chosen)
    records = caused.in_order()
    parts = [(_touched_event(record, caused), catalog.codec.recorded(record)) for record in records]
    recorded = [one for _, read in parts for one in read]
    impact = Impact(
        head,
        [event for event, _ in parts],
        await _Streams(store, catalog).touched(records),
        [await _touched_projection(store, projection, recorded) for projection in _handling(catalog, recorded)],
        await _followers(store, catalog, recorded, service),
    )
    return Examined(impact, parts)


def _touched_event(record: EncodedRecord, caused: Caused) -> TouchedEvent:
    return TouchedEvent(
        event_id(record.stream, record.version),
        record.type,
        str(record.stream),
        record.version,
        record.position,
        record.recorded_us,
        caused.causes.get(record.position, ""),
    )


class _Streams:
    """Finds the streams of touched events, and what became of them."""

    def __init__(self, store: EventStore, catalog: Catalog) -> None:
        self._store = store
        self._codec: EventCodec = catalog.codec
        classes = (*catalog.aggregates, *catalog.own_aggregates)
        self._classes: dict[str, type[Aggregate]] = {one.__definition__.stream_type: one for one in classes}
        self._services = {remote.name for remote in catalog.remotes}

    async def touched(self, records: Sequence[EncodedRecord]) -> list[TouchedStream]:
        """Return the streams of the records, in the order of their first one."""
        by_stream: dict[StreamName, list[EncodedRecord]] = {}
        for record in records:
            by_stream.setdefault(record.stream, []).append(record)
        return [await self._stream(stream, found) for stream, found in by_stream.items()]

    async def _stream(self, stream: StreamName, touched: Sequence[EncodedRecord]) -> TouchedStream:
        first = touched[0].version
        aggregate = self._classes.get(stream.type)
        kind: Literal["aggregate", "saga", "submission", "inbox"] = "aggregate"
        if stream.type in self._services:
            kind = "inbox"
        status = ""
        if aggregate is not None and issubclass(aggregate, SagaStream | Submission):
            kind = "saga" if issubclass(aggregate, SagaStream) else "submission"
            history = [record async for record in stream_records(self._store, stream)]
            state: Any = aggregate(stream.id)
            replay(state, aggregate.__definition__.evolvers, self._codec, history)
            status, behind = state.status, len(history) - first + 1
        else:
            behind = sum([1 async for _ in stream_records(self._store, stream, first - 1)])
        snapshot = await self._snapshot(stream, aggregate)
        later = behind - len(touched)
        return TouchedStream(
            stream.type, stream.id, kind, first, len(touched), later, status, snapshot if snapshot >= first else 0
        )

    async def _snapshot(self, stream: StreamName, aggregate: type[Aggregate] | None) -> int:
        """Return the version of the newest snapshot of a stream that today's code would use; 0 if there is none."""
        if aggregate is None or aggregate.__definition__.aggregate_class.snapshots is None:
            return 0
        fingerprint = fingerprint_of(aggregate.__definition__)
        (page,) = await self._store.read_streams([StreamRead(stream, 0, 1, fingerprint)])
        return page.snapshot.version if page.snapshot is not None else 0


def _handling(catalog: Catalog, recorded: Sequence[RecordedEvent[Event]]) -> list[Any]:
    """Return the projections that handle one of the events."""
    return [one for one in catalog.projections if _of(recorded, tuple(one.__definition__.handlers))]


def _of(recorded: Sequence[RecordedEvent[Event]], classes: tuple[type[Event], ...]) -> list[RecordedEvent[Event]]:
    return [one for one in recorded if isinstance(one.event, classes)]


async def _touched_projection(
    store: EventStore, projection: Any, recorded: Sequence[RecordedEvent[Event]]
) -> TouchedProjection:
    definition = projection.__definition__
    events = _of(recorded, tuple(definition.handlers))
    position = await store.load_checkpoint(checkpoint_name(definition.name, definition.version))
    # A projection without tables reads the log again at each start, so it has no position of its own.
    handled = sum(one.position <= position for one in events) if definition.has_tables else len(events)
    rows = touched_rows(projection, store.dialect, events)
    keys = {key for one in events for key in definition.key.keys(one) or ()} if definition.key is not None else ()
    return TouchedProjection(
        definition.name,
        definition.version,
        len(events),
        handled,
        rows.keys,
        rows.statements,
        rows.parked,
        sorted(keys, key=repr),
    )


async def _followers(
    store: EventStore, catalog: Catalog, recorded: Sequence[RecordedEvent[Event]], service: Service | None
) -> list[TouchedFollower]:
    found: list[TouchedFollower] = []
    for reaction in catalog.reactions:
        handled = _of(recorded, reaction.handler.event_classes)
        position = await store.load_checkpoint(f"reaction {reaction.name}")
        found.append(
            TouchedFollower("reaction", reaction.name, len(handled), sum(one.position <= position for one in handled))
        )
    for outlet in catalog.outlets:
        published = _of(recorded, tuple(outlet.types))
        position = await store.load_checkpoint(f"outlet {outlet.name}")
        found.append(
            TouchedFollower("outlet", outlet.name, len(published), sum(one.position <= position for one in published))
        )
    if service is not None:
        published = _of(recorded, tuple(service.publishes))
        position = await store.load_checkpoint(f"publish {service.name}")
        past = sum(one.position <= position for one in published)
        found.append(TouchedFollower("publisher", service.name, len(published), past))
    for name, position in await _checkpoints(store):
        if name.startswith(_SUBSCRIPTION):
            read = sum(one.position < position for one in recorded)  # the position is stored plus one
            found.append(TouchedFollower("subscription", name.removeprefix(_SUBSCRIPTION), len(recorded), read))
    return [one for one in found if one.events]


async def _checkpoints(store: EventStore) -> Sequence[tuple[str, int]]:
    try:
        return [(name, position) for name, position in await store.query(_ALL_CHECKPOINTS, ())]
    except StatementFailed:
        return []  # a store in memory has no such table: its subscriptions end with the process
