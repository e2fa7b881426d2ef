"""`EventCodec`: converts events to the JSON that the log stores, and back.

An event is encoded and decoded again before anything uses it, so every use of it sees the same event as a later replay.
This detects a field of the wrong type, a NaN and any other value that JSON would change, before the event is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from actorium.store.errors import (
    ConfigurationError,
    CorruptEvent,
    UnknownEventType,
    UnreadableEvent,
    UpcastFailed,
)
from actorium.store.events import EncodedEvent, EncodedRecord, Event, Metadata, RecordedEvent, as_json, event_type_of
from actorium.store.raised import error_text, let_through, text_of
from actorium.store.shapes.lost_fields import lost_fields
from actorium.store.shapes.round_trip import Check, InvalidMessage
from actorium.store.shapes.storable import Decode, decoders_of
from actorium.store.upcasting import Chain, UpcastError


class EventShape(NamedTuple):
    """The current stored shape of one class of event.

    decode: the decoder of new payloads.
    check: the check of new events.
    """

    type: str
    schema_version: int
    decode: Decode
    check: Check


class EventCodec:
    """Encodes and decodes the event types it was built with; it rejects any other by name.

    A record of an older shape passes through its class's upcasters, and may become several events, or none. All of them
    keep the record's version, position, time and metadata.
    """

    def __init__(self, event_classes: Iterable[type[Event]]) -> None:
        self._kinds: dict[type[Event], EventShape] = {}
        self._readers: dict[tuple[str, int], tuple[type[Event], Decode]] = {}
        self._chains: dict[tuple[str, int], Chain[Event]] = {}
        self._newest: dict[str, type[Event]] = {}
        for event_class in event_classes:
            self._register(event_class)
        for event_class in self._kinds:
            self._register_chains(event_class)

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
        self._newest[name] = event_class
        decoders = decoders_of(event_class)
        self._kinds[event_class] = EventShape(name, event_class.schema_version, decoders.admit, decoders.check)
        self._readers[name, event_class.schema_version] = (event_class, decoders.decode)

    def _register_chains(self, event_class: type[Event]) -> None:
        upcasters = event_class.__upcasters__
        for n, upcaster in enumerate(upcasters):
            key = (upcaster.type, upcaster.from_version)
            chain = self._chains.get(key)
            reader = self._readers.get(key)
            taken_by = chain.label if chain is not None else reader[0].__qualname__ if reader is not None else None
            if taken_by is not None:
                raise ConfigurationError(
                    f"{upcaster.label} and {taken_by} both read {upcaster.type!r} of schema version "
                    f"{upcaster.from_version}: a stored shape has one reader; give one of them another `type=` or "
                    "schema_version"
                )
            self._chains[key] = Chain(event_class, upcasters[n:])
            self._newest.setdefault(upcaster.type, event_class)

    def encode(self, event: Event, metadata: bytes) -> tuple[EncodedEvent, Event]:
        """Return an event as stored, and as a replay will see it; raise InvalidMessage if the two differ."""
        kind = self._kinds.get(type(event))
        if kind is None:
            raise InvalidMessage(f"{type(event).__name__} is not an event that this runtime's aggregates evolve")
        name, schema_version, _, check = kind
        payload = as_json(event)
        return EncodedEvent(name, schema_version, payload, metadata), check(event, payload)

    def shape(self, event_class: type[Event]) -> EventShape:
        """Return the stored shape of a known class."""
        return self._kinds[event_class]

    @property
    def shapes(self) -> frozenset[tuple[str, int]]:
        """The stored shapes that can be read, by name and schema version."""
        return frozenset((*self._readers, *self._chains))

    def reader(self, event_type: str, schema_version: int) -> tuple[type[Event], Decode] | None:
        """Return the class and payload decoder that read a shape in one step; None for any other shape.

        A loop over many records asks once per shape. Records of a shape that gives None go through `decode`.
        """
        return self._readers.get((event_type, schema_version))

    def decode(self, record: EncodedRecord) -> tuple[Event, ...]:
        """Return the events of a record: one, or the results of its upcasters.

        Raises UnknownEventType, CorruptEvent or UpcastFailed.
        """
        reader = self._readers.get((record.type, record.schema_version))
        if reader is None:
            return self._upcast(record)
        try:
            return (reader[1](record.payload),)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _at(record, CorruptEvent, f"the payload does not fit {reader[0].__qualname__}: {error}") from error
        except BaseException as raised:  # the `__post_init__` of the event, or of a nested value
            let_through(raised)
            reason = f"{reader[0].__qualname__} rejected the payload: {error_text(raised)}"
            raise _at(record, CorruptEvent, reason) from raised

    def _upcast(self, record: EncodedRecord) -> tuple[Event, ...]:
        chain = self._chains.get((record.type, record.schema_version))
        if chain is None:
            raise _at(record, UnknownEventType, self._why_unknown(record.type, record.schema_version))
        try:
            payload = _decode_object(record.payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _at(record, CorruptEvent, f"the payload is not a JSON object: {error}") from error
        try:
            return tuple(self._made(chain, part) for part in chain.run(payload))
        except UpcastError as error:
            raise _at(record, UpcastFailed, str(error)) from error.__cause__

    def _made(self, chain: Chain[Event], part: dict[str, Any] | Event) -> Event:
        """Return a checked event for the result of an upcaster, passed through JSON like any other."""
        event_class = chain.event_class if isinstance(part, dict) else type(part)
        kind = self._kinds.get(event_class)
        if kind is None:
            raise UpcastError(
                f"one of its upcasters {chain.label} returned {event_class.__qualname__}, "
                "which no registered aggregate evolves"
            )
        try:
            event: Event = self._readers[kind[:2]][1](as_json(part))
        except BaseException as raised:
            let_through(raised)
            raise UpcastError(
                f"the result of its upcasters {chain.label} does not fit {event_class.__qualname__}: {text_of(raised)}"
            ) from raised
        return event

    def why_unreadable(self, event_type: str, schema_version: int) -> str | None:
        """Return why a stored shape cannot be read and how to fix it; None if it can be read."""
        key = (event_type, schema_version)
        if key in self._readers or key in self._chains:
            return None
        return self._why_unknown(event_type, schema_version)

    def why_unfit(self, record: EncodedRecord) -> str | None:
        """Return why a stored event no longer fits its class and how to fix it; None if it fits.

        A class whose fields changed without a new schema version cannot read its stored events, or loses data: a
        renamed field decodes to its default. For a shape that no class reads, see `why_unreadable`.
        """
        key = (record.type, record.schema_version)
        if self.why_unreadable(*key) is not None:
            return None
        reader = self._readers.get(key)
        try:
            events = self.decode(record)
        except UnreadableEvent as error:
            return f"{error}{'' if reader is None else _advice(reader[0])}"
        lossy = self.why_lossy(record, events)
        return None if lossy is None else str(_at(record, CorruptEvent, lossy))

    def why_lossy(self, record: EncodedRecord, events: Sequence[Event]) -> str | None:
        """Return the fields of a record that its decoded events lack, and how to fix that; None if they lack none.

        Fields that upcasters drop do not count: they are dropped on purpose.
        """
        reader = self._readers.get((record.type, record.schema_version))
        if reader is None:
            return None
        lost = [f"`{name}`" for name in lost_fields(events[0], msgspec.json.decode(record.payload))]
        if not lost:
            return None
        return f"it was stored with {', '.join(lost)}, which {reader[0].__qualname__} does not have{_advice(reader[0])}"

    def _why_unknown(self, event_type: str, schema_version: int) -> str:
        known = self._newest.get(event_type)
        if known is None:
            return (
                "no registered class reads this event type: register the aggregate that evolves it, or, if it was "
                f"renamed, add @upcast({schema_version}, type={event_type!r}) to the new class"
            )
        name, newest = known.__qualname__, known.schema_version
        if schema_version > newest:
            return (
                f"it has schema version {schema_version}, but {name} reads {newest}: run the code that wrote "
                "it, or newer code"
            )
        return f"{name} is at schema version {newest} and cannot read {schema_version}: add @upcast({schema_version})"

    def with_subclasses(self, event_classes: Collection[type[Event]]) -> frozenset[type[Event]]:
        """Return the known classes that are among these or derive from one of them."""
        bases = tuple(event_classes)
        return frozenset(known for known in self._kinds if issubclass(known, bases))

    def classes_of(self, event_types: Iterable[str]) -> frozenset[type[Event]]:
        """Return the classes that read these stored names, current or former."""
        return frozenset(self._newest[name] for name in event_types if name in self._newest)

    def may_become(self, record: EncodedRecord, wanted: Collection[type[Event]]) -> bool:
        """Return whether a record may hold events of some classes, without decoding it.

        The result of upcasters is known only after they run, so a record of an older shape may become anything. A
        record of an unknown shape matches the class of its name, and fails when it is decoded.
        """
        key = (record.type, record.schema_version)
        reader = self._readers.get(key)
        if reader is not None:
            return reader[0] in wanted
        return key in self._chains or self._newest.get(record.type) in wanted

    def never(self, wanted: Collection[type[Event]]) -> frozenset[str]:
        """Return the shapes that never hold events of some classes, as `name/schema version`."""
        shapes = self._readers.items()
        return frozenset(f"{name}/{version}" for (name, version), reader in shapes if reader[0] not in wanted)

    def recorded(self, record: EncodedRecord) -> tuple[RecordedEvent[Event], ...]:
        """Return the events of a record, or of its upcasters, with its place, time and metadata."""
        stream = record.stream
        try:
            metadata = decode_metadata(record.metadata)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _at(record, CorruptEvent, f"the metadata cannot be read: {error}") from error
        return tuple(
            RecordedEvent(
                stream.type, stream.id, record.version, record.position, event, metadata, record.recorded_us, part
            )
            for part, event in enumerate(self.decode(record))
        )


def _advice(event_class: type[Event]) -> str:
    version = event_class.schema_version
    return (
        f"; its fields changed but its schema version did not: set schema_version = {version + 1} in "
        f"{event_class.__qualname__} and add @upcast({version}), which converts the stored fields"
    )


def _at(record: EncodedRecord, kind: type[UnreadableEvent], reason: str) -> UnreadableEvent:
    return kind(reason, stream=record.stream, version=record.version, event_type=record.type)


decode_metadata = msgspec.json.Decoder(Metadata).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
