"""Events, and the record in which the log holds an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform
from zlib import crc32

import msgspec

from actorium.store.names import StreamName, event_id, stream_of_event
from actorium.store.upcasting import Upcaster, read_upcasters


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Tells type checkers that each subclass of a message is frozen."""


class Event(msgspec.Struct, frozen=True, gc=False, metaclass=MessageMeta):
    """Base class for events: a fact about one aggregate, as a frozen struct whose fields are stored as JSON.

    event_type: the stored name; the name of the class if it is not set.
    subject_field: the field, of type `str`, that names whom its `Personal` fields are about; the id of the aggregate if
        it is not set.
    schema_version: the number of the current shape of the fields, from 1. Functions marked with `@upcast` convert the
        older shapes.

    The garbage collector does not track events (`gc=False`): they are frozen, so they hold no cycles.
    """

    event_type: ClassVar[str] = ""
    subject_field: ClassVar[str] = ""
    schema_version: ClassVar[int] = 1
    __upcasters__: ClassVar[tuple[Upcaster, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__upcasters__ = read_upcasters(cls, event_type_of(cls), cls.schema_version)


def event_type_of(event_class: type[Event]) -> str:
    """Return the stored name of an event class: its own `event_type`, or else its class name."""
    own = event_class.__dict__.get("event_type")
    return own if isinstance(own, str) and own else event_class.__name__


class Metadata(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The metadata stored with an event: its command, business flow, cause and headers.

    command_id: the id of the command that caused the event.
    correlation_id: the id of the business flow; empty if the command started the flow, whose id is then the command's.
    causation_id: the id of the event that caused the command (`RecordedEvent.event_id`); empty if no event caused it.
    headers: the application's own values, such as who sent the command and from where.
    """

    command_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def flow_id(self) -> str:
        """The correlation id, or the command's id if the command started the flow."""
        return self.correlation_id or self.command_id

    @property
    def cause(self) -> StreamName | None:
        """The stream of the event that caused the command; None if `causation_id` is not the id of an event."""
        return stream_of_event(self.causation_id)


E_co = TypeVar("E_co", bound=Event, covariant=True)


class RecordedEvent(msgspec.Struct, Generic[E_co], frozen=True, gc=False):
    """An event as stored in the log, with its stream, version, position, time and metadata.

    version: its number within the stream, from 1.
    position: its number within the whole log, from 1.
    recorded_us: when it was accepted, in microseconds since the epoch; it never decreases along the log.
    part: its number, from 0, among the events of one record.

    A record of an older schema version can become several events, or none (see `upcast`). They share its version and
    position.
    """

    stream_type: str
    stream_id: str
    version: int
    position: int
    event: E_co
    metadata: Metadata
    recorded_us: int
    part: int = 0

    @property
    def stream(self) -> StreamName:
        """The name of the stream that holds the event."""
        return StreamName(self.stream_type, self.stream_id)

    @property
    def event_id(self) -> str:
        """The id `<stream type>/<stream id>/<version>`; events that this one causes have it as their `causation_id`."""
        return event_id(self.stream, self.version, self.part)

    @property
    def recorded_at(self) -> datetime:
        """When the event was accepted, as a UTC datetime."""
        return utc_of(self.recorded_us)


def utc_of(us: int) -> datetime:
    """Return a time in microseconds since the epoch as a UTC datetime."""
    return datetime.fromtimestamp(us / 1_000_000, UTC)


class EncodedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into the log: its stored name and shape, and JSON payload and metadata."""

    type: str
    schema_version: int
    payload: bytes
    metadata: bytes


class EncodedRecord(msgspec.Struct, frozen=True, gc=False):
    """An event on its way out of the log, its checksum already verified."""

    stream: StreamName
    version: int
    position: int
    recorded_us: int
    type: str
    schema_version: int
    payload: bytes
    metadata: bytes


CHECKSUM_MASK = 0xFFFFFFFF
# Knuth's multiplicative constant spreads small versions over the seed, so that small errors in both version and time
# do not cancel out.
CHECKSUM_SPREAD = 0x9E3779B1


def kind_checksum(stream: StreamName, event_type: str, schema_version: int) -> int:
    """Return the part of a checksum that all events of one kind in one stream share; callers can cache it.

    It is `crc32(kind_bytes(...), stream_checksum(...))`, for callers that keep the two halves apart.
    """
    return crc32(kind_bytes(event_type, schema_version), stream_checksum(stream))


def stream_checksum(stream: StreamName) -> int:
    """Return the CRC-32 of a stream's name, the first half of `kind_checksum`."""
    return crc32(f"{stream.type}\0{stream.id}\0".encode())


def kind_bytes(event_type: str, schema_version: int) -> bytes:
    """Return the bytes that identify a kind of event, the second half of `kind_checksum`."""
    return f"{event_type}\0{schema_version}".encode()


def checksum(kind: int, version: int, recorded_us: int, payload: bytes, metadata: bytes) -> int:
    """Return the CRC-32 of one event over stream, type, schema version, version, time, payload and metadata.

    `kind` is `kind_checksum(...)`. A change of any single one of the parts changes the result: the numbers are mixed
    into the seed, and a CRC is injective in its seed.
    """
    return crc32(payload, crc32(metadata, kind ^ ((version * CHECKSUM_SPREAD + recorded_us) & CHECKSUM_MASK)))


as_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Returns a value as the JSON bytes that the log stores."""
