"""`EventCodec`: events to the JSON that the log stores, and back.

An event is encoded, then decoded again, before anything trusts it: what the rest of the run sees is what a replay
will see, and a field of the wrong type, a NaN or anything else that JSON would change is found before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from actorium.store.errors import ConfigurationError, CorruptEvent, UnknownEventType
from actorium.store.events import EncodedEvent, EncodedRecord, Event, Metadata, RecordedEvent, as_json, event_type_of

M = TypeVar("M", bound=msgspec.Struct)


class InvalidMessage(ValueError):
    """A command or an event whose fields are not what its class says, or do not survive JSON."""


def checked_copy(message: M, encoded: bytes, decode: Callable[[bytes], M]) -> M:
    """Return the message as its JSON gives it back; raise InvalidMessage where that is not the same message."""
    try:
        copy = decode(encoded)
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"{type(message).__name__}: {error}") from None
    if copy != message:
        raise InvalidMessage(
            f"{type(message).__name__} changes when it is stored as JSON: {_first_change(message, copy)}"
        )
    return copy


def _first_change(message: msgspec.Struct, copy: msgspec.Struct) -> str:
    for field in message.__struct_fields__:
        before, after = getattr(message, field), getattr(copy, field)
        if before != after:
            return f"{field}={before!r} comes back as {after!r}"
    return repr(message)


class EventCodec:
    """Encodes and decodes the event types it was built with; anything else is refused by name."""

    def __init__(self, event_classes: Iterable[type[Event]]) -> None:
        self._kinds: dict[type[Event], tuple[str, int, Callable[[bytes], Any]]] = {}
        self._decoders: dict[tuple[str, int], Callable[[bytes], Any]] = {}
        self._newest: dict[str, type[Event]] = {}
        for event_class in event_classes:
            self._register(event_class)

    def _register(self, event_class: type[Event]) -> None:
        if event_class in self._kinds:
            return
        name = event_type_of(event_class)
        other = self._newest.get(name)
        if other is not None:
            raise ConfigurationError(
                f"{event_class.__module__}.{event_class.__qualname__} and {other.__module__}.{other.__qualname__} are "
                f'both stored as {name!r}: give one of them its own event_type = "…"'
            )
        try:
            decode = msgspec.json.Decoder(event_class).decode
        except (TypeError, NameError) as error:
            raise ConfigurationError(f"{event_class.__qualname__} cannot be stored as JSON: {error}") from error
        self._newest[name] = event_class
        self._kinds[event_class] = (name, event_class.schema_version, decode)
        self._decoders[name, event_class.schema_version] = decode

    @property
    def event_classes(self) -> tuple[type[Event], ...]:
        """The classes it knows, in the order of registration."""
        return tuple(self._kinds)

    def encode(self, event: Event, metadata: bytes) -> tuple[EncodedEvent, Event]:
        """Return an event as stored, and as a replay will see it; raise InvalidMessage where the two differ."""
        kind = self._kinds.get(type(event))
        if kind is None:
            raise InvalidMessage(f"{type(event).__name__} is no event that this runtime's aggregates evolve")
        payload = as_json(event)
        return EncodedEvent(kind[0], kind[1], payload, metadata), checked_copy(event, payload, kind[2])

    def decode(self, record: EncodedRecord) -> Event:
        """Return the event of a record; raise UnknownEventType or CorruptEvent."""
        decode = self._decoders.get((record.type, record.schema_version))
        if decode is None:
            raise UnknownEventType(
                self._why_unknown(record), stream=record.stream, version=record.version, event_type=record.type
            )
        try:
            return decode(record.payload)  # type: ignore[no-any-return]
        except msgspec.DecodeError as error:
            raise CorruptEvent(
                f"the payload does not fit {self._newest[record.type].__qualname__}: {error}",
                stream=record.stream,
                version=record.version,
                event_type=record.type,
            ) from error

    def _why_unknown(self, record: EncodedRecord) -> str:
        known = self._newest.get(record.type)
        if known is None:
            return "no registered class reads this event type: register the aggregate that evolves it"
        return (
            f"it is of schema version {record.schema_version}, {known.__qualname__} reads {known.schema_version}: "
            "run the code that wrote it, or newer"
        )

    def recorded(self, record: EncodedRecord) -> RecordedEvent[Event]:
        """Return a record with its event and metadata decoded."""
        stream = record.stream
        try:
            metadata = _decode_metadata(record.metadata)
        except msgspec.DecodeError as error:
            raise CorruptEvent(
                f"the metadata cannot be read: {error}", stream=stream, version=record.version, event_type=record.type
            ) from error
        return RecordedEvent(
            stream.type, stream.id, record.version, record.position, self.decode(record), metadata, record.recorded_us
        )


_decode_metadata = msgspec.json.Decoder(Metadata).decode
