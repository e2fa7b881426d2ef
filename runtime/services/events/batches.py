"""Batches: published events as they stand in a service's stream, many in one entry.

One entry is written, and flushed to the disk, at once: so a batch is published whole or not at all. Its events have
numbers, 1 for the first that the service ever published; they follow from the log alone, so they stay the same if the
stream must be written again. Each event is a CloudEvent, with extensions for what its metadata holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from actorium.store.events import EncodedRecord, Event, Metadata, RecordedEvent, as_json, event_type_of
from actorium.store.names import StreamName

EVENTS_MAX = 1_000


class PublishedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event in the CloudEvents 1.0 format.

    id: its `RecordedEvent.event_id`; `source` is the name of the service, `subject` the stream's id.
    recordedus: when it was recorded, in microseconds since the epoch.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: msgspec.Raw
    schemaversion: int
    recordedus: int
    correlationid: str = ""
    causationid: str = ""
    commandid: str = ""
    headers: dict[str, str] = {}
    specversion: str = msgspec.field(default_factory=lambda: "1.0")
    datacontenttype: str = msgspec.field(default_factory=lambda: "application/json")


class Batch(msgspec.Struct, frozen=True):
    """One entry of a stream.

    first: the number of its first event.
    position: the position of the publisher's log up to which every event to publish is in the stream.
    """

    first: int
    position: int
    events: list[PublishedEvent]

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.first + len(self.events) - 1


decode_batch = msgspec.json.Decoder(Batch).decode
"""Returns a decoded batch; raises msgspec.DecodeError for anything else."""


def published(recorded: RecordedEvent[Event], service: str) -> PublishedEvent:
    """Return an event as it is published."""
    metadata = recorded.metadata
    return PublishedEvent(
        recorded.event_id,
        service,
        event_type_of(type(recorded.event)),
        recorded.stream_id,
        recorded.recorded_at,
        msgspec.Raw(as_json(recorded.event)),
        type(recorded.event).schema_version,
        recorded.recorded_us,
        metadata.flow_id,
        metadata.causation_id,
        metadata.command_id,
        dict(metadata.headers),
    )


def record_of(event: PublishedEvent, service: str, number: int) -> EncodedRecord:
    """Return a published event as a record of the stream under which its receiver keeps it, caused by the original."""
    metadata = Metadata(event.commandid, event.correlationid, event.id, event.headers)
    return EncodedRecord(
        StreamName(service, event.subject),
        number,
        number,
        event.recordedus,
        event.type,
        event.schemaversion,
        bytes(event.data),
        as_json(metadata),
    )


def batches_of(
    events: Sequence[RecordedEvent[Event]], service: str, first: int, max_bytes: int
) -> Iterator[tuple[bytes, Batch]]:
    """Yield events as encoded batches of at most `max_bytes`; the events of one record stay together.

    A record that is too large alone is yielded in a batch of its own, for the caller to deal with.
    """
    made: list[PublishedEvent] = []
    size = position = 0
    for unit in _records(events):
        parts = [published(one, service) for one in unit]
        unit_bytes = sum(len(as_json(part)) + 1 for part in parts)
        if made and (size + unit_bytes > max_bytes - _FRAME_BYTES or len(made) + len(parts) > EVENTS_MAX):
            batch = Batch(first, position, made)
            yield as_json(batch), batch
            first, made, size = batch.last + 1, [], 0
        made += parts
        size += unit_bytes
        position = unit[0].position
    if made:
        batch = Batch(first, position, made)
        yield as_json(batch), batch


# What a batch takes beside its events.
_FRAME_BYTES = 100


def _records(events: Sequence[RecordedEvent[Event]]) -> Iterator[list[RecordedEvent[Event]]]:
    """Yield events grouped by record: upcasters may have made several of one."""
    unit: list[RecordedEvent[Event]] = []
    for one in events:
        if unit and unit[0].position != one.position:
            yield unit
            unit = []
        unit.append(one)
    if unit:
        yield unit
