"""The forms in which events leave a log and come back: JSON lines, and CloudEvents 1.0.

Payloads are JSON values in both, byte for byte as the log has them. A line says which command its event belongs to, so
that an import writes the events of a command together, and finds the command again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from actorium.actors.commands import MAX_ID_LENGTH, checked_id
from actorium.store.codec import decode_metadata
from actorium.store.errors import InvalidCommand
from actorium.store.events import EncodedEvent, Metadata, as_json, utc_of
from actorium.store.names import NAME_BYTES_MAX, StreamName, event_id, is_storable_name, stream_of_event

Form = Literal["jsonl", "cloudevents", "cloudevents-batch"]

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1  # integers in a log have 64 bits
_Number = Annotated[int, msgspec.Meta(ge=1, le=_INT_MAX)]
_Fingerprint = Annotated[int, msgspec.Meta(ge=_INT_MIN, le=_INT_MAX)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogEvent(msgspec.Struct, frozen=True):
    """An event of a log, on its way to a file or from it.

    version: its version in its stream; 0 for an event of another system, which takes the next one.
    fingerprint: that of its command, on the first of the command's events only; None for none.
    events: the number of the command's events that begin with this one.
    """

    stream: StreamName
    version: int
    recorded_us: int
    event: EncodedEvent
    position: int = 0
    fingerprint: int | None = None
    events: int = 1


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    stream_type: str
    stream_id: str
    version: _Number
    time: datetime
    type: str
    payload: msgspec.Raw
    metadata: msgspec.Raw
    schema_version: _Number = 1
    position: int = 0
    fingerprint: _Fingerprint | None = None
    events: _Number = 1


class _CloudEventLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A CloudEvent; its id is that of the event in its log, `<stream type>/<stream id>/<version>`.

    headers: the other headers of the event, as a JSON text; an extension must not be an object.
    """

    id: str
    source: str
    type: str
    specversion: str = msgspec.field(default_factory=lambda: "1.0")
    subject: str = ""
    time: datetime | None = None
    datacontenttype: str = msgspec.field(default_factory=lambda: "application/json")
    data: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    schemaversion: _Number = 1
    commandid: str = ""
    correlationid: str = ""
    causationid: str = ""
    headers: str = ""
    fingerprint: str = ""
    commandevents: _Number = 1


class WrongEvent(Exception):
    """A text is not an event that can be imported; the message says why."""


def encoded_line(event: LogEvent, form: Form, source: str) -> bytes:
    """Return an event as one line of JSON, without its end.

    source: the `source` of CloudEvents.
    """
    encoded = event.event
    payload = msgspec.Raw(_on_one_line(encoded.payload))
    time = utc_of(event.recorded_us)
    if form == "jsonl":
        return msgspec.json.encode(
            _Line(
                event.stream.type,
                event.stream.id,
                event.version,
                time,
                encoded.type,
                payload,
                msgspec.Raw(_on_one_line(encoded.metadata)),
                encoded.schema_version,
                event.position,
                event.fingerprint,
                event.events,
            )
        )
    metadata = decode_metadata(encoded.metadata)
    return msgspec.json.encode(
        _CloudEventLine(
            event_id(event.stream, event.version),
            source,
            encoded.type,
            subject=event.stream.id,
            time=time,
            data=payload,
            schemaversion=encoded.schema_version,
            commandid=metadata.command_id,
            correlationid=metadata.correlation_id,
            causationid=metadata.causation_id,
            headers=msgspec.json.encode(metadata.headers).decode() if metadata.headers else "",
            fingerprint="" if event.fingerprint is None else str(event.fingerprint),
            commandevents=event.events,
        )
    )


def decoded_line(data: bytes | msgspec.Raw, stream_type: str) -> LogEvent:
    """Return the event of one line.

    stream_type: the type of the streams of CloudEvents from other systems; their `subject` is the id. Empty if there
        should be none.

    Raises WrongEvent if it is not such an event.
    """
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if "specversion" in fields:
            event = _from_cloud_event(msgspec.json.decode(data, type=_CloudEventLine), stream_type)
        else:
            event = _from_line(msgspec.json.decode(data, type=_Line))
        _require_names(event)
    except RecursionError:
        raise WrongEvent("its JSON is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, InvalidCommand) as error:
        raise WrongEvent(str(error)) from error
    return event


def _from_line(line: _Line) -> LogEvent:
    _require(isinstance(msgspec.json.decode(line.payload), dict), "its payload is not a JSON object")
    metadata = bytes(line.metadata)
    decode_metadata(metadata)
    event = EncodedEvent(line.type, line.schema_version, bytes(line.payload), metadata)
    stream = StreamName(line.stream_type, line.stream_id)
    return LogEvent(stream, line.version, _microseconds(line.time), event, line.position, line.fingerprint, line.events)


def _require_names(event: LogEvent) -> None:
    """Raise WrongEvent or InvalidCommand unless a log takes the names of an event, and `get` its stream."""
    for name, what in ((event.stream.type, "stream type"), (event.event.type, "type")):
        rule = f"it must have 1 to {NAME_BYTES_MAX} bytes in UTF-8, none of them NUL"
        _require(is_storable_name(name), f"its {what} is {name!r:.100}: {rule}")
    checked_id(event.stream.id, "the id of its stream")


def _from_cloud_event(line: _CloudEventLine, stream_type: str) -> LogEvent:
    _require(line.specversion == "1.0", f"its specversion is {line.specversion!r}, not 1.0")
    _require(line.time is not None, "it has no time")
    _require(line.datacontenttype.partition(";")[0].endswith("json"), f"its data is {line.datacontenttype}, not JSON")
    _require(isinstance(msgspec.json.decode(line.data), dict), "its data is not a JSON object")
    assert line.time is not None
    time = _microseconds(line.time)
    stream, fingerprint = stream_of_event(line.id), int(line.fingerprint) if line.fingerprint else None
    headers: Mapping[str, str] = msgspec.json.decode(line.headers, type=dict[str, str]) if line.headers else {}
    if stream is not None and line.subject == stream.id:
        version = msgspec.convert(int(line.id.rpartition("/")[2]), _Number)
        fingerprint = msgspec.convert(fingerprint, _Fingerprint | None)
        metadata = Metadata(line.commandid, line.correlationid, line.causationid, headers)
    else:
        _require(bool(stream_type), f"{line.id!r} is not the id of an event of a log: give --stream-type")
        _require(bool(line.subject), "it has no subject, which would be the id of its stream")
        # Its source and id name it everywhere: so it is imported once.
        stream, version, fingerprint = StreamName(stream_type, line.subject), 0, 0
        command_id = f"{line.source}#{line.id}"
        _require(len(command_id) <= MAX_ID_LENGTH, f"its source and id have more than {MAX_ID_LENGTH} characters")
        metadata = Metadata(command_id, line.correlationid, line.causationid, headers)
    event = EncodedEvent(line.type, line.schemaversion, bytes(line.data), as_json(metadata))
    return LogEvent(stream, version, time, event, 0, fingerprint, line.commandevents)


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise WrongEvent(why)


def _on_one_line(json: bytes) -> bytes:
    return json if b"\n" not in json else msgspec.json.encode(msgspec.json.decode(json))


def _microseconds(time: datetime) -> int:
    if time.tzinfo is None:
        raise WrongEvent("its time has no time zone")
    return (time - _EPOCH) // timedelta(microseconds=1)


def same_event(one: EncodedEvent, other: EncodedEvent) -> bool:
    """Return whether two events say the same, however their JSON is written."""
    if (one.type, one.schema_version) != (other.type, other.schema_version):
        return False
    payloads: tuple[Any, Any] = (one.payload, other.payload)
    return (
        payloads[0] == payloads[1] or msgspec.json.decode(payloads[0]) == msgspec.json.decode(payloads[1])
    ) and decode_metadata(one.metadata) == decode_metadata(other.metadata)
