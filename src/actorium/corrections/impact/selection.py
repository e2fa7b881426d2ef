"""`Selection`: the events that a question about the past is about."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from actorium.actors.errors import NotFound
from actorium.store.codec import EventCodec, decode_metadata
from actorium.store.errors import ConfigurationError, InvalidCommand
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.events import EncodedRecord, Event, RecordedEvent
from actorium.store.names import StreamName, stream_of_event

_PAGE_EVENTS = 1_000

Where = Callable[[RecordedEvent[Event]], bool]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Some events of the log. Every condition that is given must hold; at least one must be given.

    events: the ids of the events (`RecordedEvent.event_id`).
    causes: the ids of events that caused them directly; `<service>:<event id>` for an event of another service.
    stream: the stream that holds them.
    types: the stored names of their types.
    after, until: positions; the events after the first one, up to and including the second one.
    since, before: aware datetimes; the events recorded at `since` or later, and earlier than `before`.
    headers: values that the headers of their metadata have, such as the version of the code that wrote them.
    where: a function of the recorded event that returns whether it is selected.

    Raises ConfigurationError if no condition is given, and InvalidCommand for a datetime without a time zone.
    """

    events: Sequence[str] = ()
    causes: Sequence[str] = ()
    stream: StreamName | None = None
    types: Sequence[str] = ()
    after: int = 0
    until: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    headers: Mapping[str, str] = {}
    where: Where | None = None

    def __post_init__(self) -> None:
        if not any(getattr(self, name) not in ((), {}, 0, None) for name in self.__struct_fields__):
            raise ConfigurationError("a selection without a condition is the whole log: give events, a stream, …")
        for name in ("since", "before"):
            time = getattr(self, name)
            if time is not None and time.tzinfo is None:
                raise InvalidCommand(f"{name}={time!r} has no time zone: give an aware datetime")

    def includes(self, record: EncodedRecord, codec: EventCodec) -> bool:
        """Return whether an event of the log is selected, whatever its id."""
        if self.stream is not None and record.stream != self.stream:
            return False
        if self.types and record.type not in self.types:
            return False
        if self.causes and decode_metadata(record.metadata).causation_id not in self.causes:
            return False
        if record.position <= self.after or (self.until is not None and record.position > self.until):
            return False
        if self.since is not None and record.recorded_us < round(self.since.timestamp() * 1_000_000):
            return False
        if self.before is not None and record.recorded_us >= round(self.before.timestamp() * 1_000_000):
            return False
        if not (self.headers or self.where):
            return True
        return any(self._has(recorded) for recorded in codec.recorded(record))

    def _has(self, recorded: RecordedEvent[Event]) -> bool:
        headers = recorded.metadata.headers
        if any(headers.get(name) != value for name, value in self.headers.items()):
            return False
        return self.where is None or bool(self.where(recorded))


async def selected(store: EventStore, codec: EventCodec, selection: Selection) -> list[EncodedRecord]:
    """Return the selected events in log order; the store is open.

    Raises NotFound for an id that names no event, and UnreadableEvent for an event that cannot be read.
    """
    if selection.events:
        found = [await _by_id(store, id) for id in dict.fromkeys(selection.events)]
    elif selection.causes:
        found = [record for id in dict.fromkeys(selection.causes) for record in await _caused_by(store, id)]
    elif selection.stream is not None:
        found = [record async for record in stream_records(store, selection.stream)]
    else:
        found = [record async for record in log_records(store, selection.after, selection.until)]
    return sorted((record for record in found if selection.includes(record, codec)), key=lambda record: record.position)


async def _caused_by(store: EventStore, id: str) -> list[EncodedRecord]:
    caused: list[EncodedRecord] = []
    position = 0
    while found := await store.read_linked("causation_id", id, position, _PAGE_EVENTS):
        caused += found
        position = found[-1].position
    return caused


async def _by_id(store: EventStore, id: str) -> EncodedRecord:
    stream = stream_of_event(id)
    if stream is not None:
        version = int(id.rpartition("/")[2].partition(".")[0])
        (page,) = await store.read_streams([StreamRead(stream, max(0, version - 1), 1)])
        if version and page.events:
            return page.events[0]
    raise NotFound(f"the log has no event {id!r}: an id is <stream type>/<stream id>/<version>")


async def stream_records(
    store: EventStore, stream: StreamName, after_version: int = 0
) -> AsyncGenerator[EncodedRecord, None]:
    """Yield the events of a stream after a version."""
    version = after_version
    while True:
        (page,) = await store.read_streams([StreamRead(stream, version, _PAGE_EVENTS)])
        for record in page.events:
            version = record.version
            yield record
        if page.is_last:
            return


async def log_records(
    store: EventStore, after: int = 0, until: int | None = None
) -> AsyncGenerator[EncodedRecord, None]:
    """Yield the events of the log after a position, up to another or to the end as it is now."""
    end = (await store.head()).position
    end = end if until is None else min(end, until)
    position = after
    while position < end:
        records = await store.read_log(position, min(_PAGE_EVENTS, end - position))
        for record in records:
            yield record
        if not records:
            return
        position = records[-1].position
