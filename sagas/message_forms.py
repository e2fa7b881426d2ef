"""How the commands of sagas travel between nodes: an event inside one takes its stored form along."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actorium.actors.commands import Command
from actorium.runtime.cluster.command_wire import CommandForm
from actorium.sagas.model.messages import Happened
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, Metadata, RecordedEvent, as_json
from actorium.store.names import StreamName


class _HappenedForm(msgspec.Struct, frozen=True, omit_defaults=True):
    to: str
    at_us: int
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


def command_forms(codec: EventCodec) -> Mapping[type[Command], CommandForm]:
    """Return the forms of the sagas' commands that plain JSON cannot carry."""
    decode = msgspec.json.Decoder(_HappenedForm).decode

    def encoded(command: Happened) -> bytes:
        recorded = command.recorded
        shape = codec.shape(type(recorded.event))
        return as_json(
            _HappenedForm(
                command.to,
                command.at_us,
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
            )
        )

    def decoded(fields: bytes) -> Happened:
        form = decode(fields)
        stream = StreamName(form.stream_type, form.stream_id)
        payload = bytes(form.payload)
        record = EncodedRecord(
            stream, form.version, form.position, form.recorded_us, form.event_type, form.schema_version, payload, b"{}"
        )
        (event,) = codec.decode(record)
        place = (stream.type, stream.id, form.version, form.position)
        recorded = RecordedEvent(*place, event, form.metadata, form.recorded_us, form.part)
        return Happened(form.to, recorded, form.at_us)

    return {Happened: CommandForm(encoded, decoded)}
