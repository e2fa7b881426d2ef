"""Replies on the wire: acknowledgements with their events, and errors by name."""

from __future__ import annotations

import msgspec

from actorium.actors.commands import Ack
from actorium.actors.errors import CommandFailed
from actorium.runtime.errors import Overloaded
from actorium.runtime.messages.frames import AckWire, AnswerMessage, BusyMessage, EventWire
from actorium.store.codec import EventCodec
from actorium.store.error_wire import error_from_wire, error_to_wire
from actorium.store.errors import ActoriumError, UnreadableEvent
from actorium.store.events import EncodedRecord, Event, as_json, event_type_of
from actorium.store.names import StreamName
from actorium.store.raised import error_text, let_through


def answer_of(
    number: int, stream_type: str, outcome: Ack | BaseException, *, with_events: bool = True
) -> AnswerMessage | BusyMessage:
    """Return the reply to a command, given its acknowledgement or its error.

    An error that is not one of Actorium's, such as one of middleware, becomes a CommandFailed with its text.
    """
    if isinstance(outcome, Ack):
        return AnswerMessage(number, ack_to_wire(outcome, stream_type, with_events=with_events))
    if isinstance(outcome, Overloaded):
        return BusyMessage(number, outcome.message, outcome.retry_after_s)
    if not isinstance(outcome, ActoriumError):
        outcome = CommandFailed(error_text(outcome))
    return AnswerMessage(number, error=error_to_wire(outcome))


def ack_to_wire(ack: Ack, stream_type: str, *, with_events: bool = True) -> AckWire:
    """Encode an acknowledgement, with its events or without."""
    events: list[EventWire] = []
    if with_events:
        for event in ack.events:
            event_class = event.__class__
            events.append(
                EventWire(event_type_of(event_class), event_class.schema_version, msgspec.Raw(as_json(event)))
            )
    return AckWire(stream_type, ack.stream_id, ack.version, ack.position, ack.command_id, (*events,), ack.duplicate)


def ack_from_wire(wire: AckWire, codec: EventCodec) -> Ack:
    """Return the decoded acknowledgement; events that this process cannot read are left out."""
    if not wire.events:  # the common case: nobody reads them
        return Ack(wire.stream_id, wire.version, wire.position, (), wire.command_id, wire.duplicate)
    events: list[Event] = []
    version = wire.version - len(wire.events)
    for event in wire.events:
        version += 1
        reader = codec.reader(event.type, event.schema_version)
        payload = bytes(event.payload)
        try:
            if reader is not None:  # the common case, without a record
                events.append(reader[1](payload))
                continue
        except BaseException as error:
            let_through(error)
        stream = StreamName(wire.stream_type, wire.stream_id)
        record = EncodedRecord(stream, version, 0, 0, event.type, event.schema_version, payload, b"{}")
        try:
            events.extend(codec.decode(record))
        except UnreadableEvent:
            continue
    return Ack(wire.stream_id, wire.version, wire.position, tuple(events), wire.command_id, wire.duplicate)


def outcome_of(reply: AnswerMessage | BusyMessage, codec: EventCodec) -> Ack:
    """Return the acknowledgement that a reply carries; raise the error that it carries."""
    if isinstance(reply, BusyMessage):
        raise Overloaded(reply.reason, retry_after_s=reply.retry_after_s)
    if reply.error is not None:
        raise error_from_wire(reply.error)
    if reply.ack is None:
        raise CommandFailed("the reply holds neither an acknowledgement nor an error")
    return ack_from_wire(reply.ack, codec)
