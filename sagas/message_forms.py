"""How commands that hold an event travel between nodes: the event takes its stored form along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Command
from actorium.runtime.cluster.command_wire import CommandForm
from actorium.runtime.services.events.inbox import TakeIn
from actorium.sagas.model.messages import Happened
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, Event, Metadata, RecordedEvent, as_json
from actorium.store.names import StreamName


class _EventForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command for the stream `to`, with an event; `at_us` is the time in a `Happened`."""

    to: str
    stream_type: str
    stream_id: str
    version: int
    position: int
    recorded_us: int
    event_type: str
    schema_version: int
    payload: msgspec.Raw
    metadata: Metadata
    part: int = 0
    at_us: int = 0


def command_forms(codec: EventCodec) -> Mapping[type[Command], CommandForm]:
    """Return the forms of the runtime's own commands that plain JSON cannot carry."""
    decode = msgspec.json.Decoder(_EventForm).decode

    def encoded(to: str, recorded: RecordedEvent[Event], at_us: int) -> bytes:
        shape = codec.shape(type(recorded.event))
        return as_json(
            _EventForm(
                to,
                recorded.stream_type,
                recorded.stream_id,
                recorded.version,
                recorded.position,
                recorded.recorded_us,
                shape.type,
                type(recorded.event).schema_version,
                msgspec.Raw(as_json(recorded.event)),
                recorded.metadata,
                recorded.part,
                at_us,
            )
        )

    def recorded_in(form: _EventForm) -> RecordedEvent[Any]:
        stream = StreamName(form.stream_type, form.stream_id)
        payload = bytes(form.payload)
        record = EncodedRecord(
            stream, form.version, form.position, form.recorded_us, form.event_type, form.schema_version, payload, b"{}"
        )
        (event,) = codec.decode(record)
        place = (stream.type, stream.id, form.version, form.position)
        return RecordedEvent(*place, event, form.metadata, form.recorded_us, form.part)

    def happened(fields: bytes) -> Happened:
        form = decode(fields)
        return Happened(form.to, recorded_in(form), form.at_us)

    def take_in(fields: bytes) -> TakeIn:
        form = decode(fields)
        return TakeIn(form.to, recorded_in(form))

    return {
        Happened: CommandForm(lambda command: encoded(command.to, command.recorded, command.at_us), happened),
        TakeIn: CommandForm(lambda command: encoded(command.to, command.recorded, 0), take_in),
    }
