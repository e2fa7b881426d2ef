"""`RecordedLog`: the log as a sequence of appends, each with the command that caused it if that can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, CommandHandler
from actorium.actors.fingerprint import is_narrow
from actorium.catalog import Catalog
from actorium.corrections.impact.selection import log_records
from actorium.sagas.model.events import SAGA_EVENTS, StepIssued
from actorium.sagas.model.intents import IntentKey, issued_intent
from actorium.store.codec import decode_metadata
from actorium.store.errors import InvalidCommand, UnreadableEvent
from actorium.store.event_store import EventStore
from actorium.store.events import EncodedRecord, Metadata, event_type_of
from actorium.store.names import CommandRecord, StreamName

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_NO_LIMIT = 2**63
_ASKED_AT_ONCE = 200

Handlers = Sequence[tuple[CommandHandler, frozenset[str]]]
"""The command handlers of an aggregate, each with the stored names of the events that it may return."""


class RecordedAppend(msgspec.Struct):
    """The events of one append, in order.

    fingerprint: that of the command; None if the log does not know it.
    command: the command, rebuilt from its events; None if no command with this fingerprint follows from them.
    """

    stream: StreamName
    records: list[EncodedRecord]
    metadata: Metadata
    fingerprint: int | None = None
    command: Command | None = None

    @property
    def recorded_us(self) -> int:
        """When it was recorded."""
        return self.records[0].recorded_us


class RecordedLog(msgspec.Struct):
    """A log, read once for any number of runs.

    issued: the ids of the commands that sagas issued, with the key of the step that issued each.
    effects: the keys of the external effects that sagas issued.
    sagas: the streams of sagas.
    unknown_commands: appends of aggregates whose command could not be rebuilt.
    """

    appends: list[RecordedAppend]
    issued: dict[str, IntentKey]
    effects: set[IntentKey]
    sagas: set[StreamName]
    head: int = 0
    unknown_commands: int = 0


async def recorded_log(store: EventStore, catalog: Catalog) -> RecordedLog:
    """Read a log whose events the catalog's code wrote; the store is open.

    A command is not stored, but its fingerprint is: a command with the fields of its events and the same fingerprint is
    the one that was sent.
    """
    log = RecordedLog([], {}, set(), set(), (await store.head()).position)
    handlers = {one.__definition__.stream_type: handlers_of(one) for one in catalog.aggregates}
    saga_types = {saga.__definition__.saga_type for saga in catalog.sagas}
    saga_events = {event_type_of(one) for one in SAGA_EVENTS}
    last: RecordedAppend | None = None
    async for record in log_records(store):
        metadata = decode_metadata(record.metadata)
        if record.stream.type in saga_types and record.type in saga_events:
            log.sagas.add(record.stream)
            _note_issued(log, catalog, record)
        elif last is not None and continues(last, record, metadata):
            last.records.append(record)
            continue
        last = RecordedAppend(record.stream, [record], metadata)
        log.appends.append(last)
    ours = [append for append in log.appends if append.stream.type in handlers]
    for first in range(0, len(ours), _ASKED_AT_ONCE):
        some = ours[first : first + _ASKED_AT_ONCE]
        found = await store.find_commands([one.metadata.command_id for one in some])
        for append in some:
            _identify(append, found.get(append.metadata.command_id), handlers[append.stream.type], log)
    return log


def continues(last: RecordedAppend, record: EncodedRecord, metadata: Metadata) -> bool:
    """Return whether an event belongs to the append of the event before it."""
    return bool(
        record.stream == last.stream
        and metadata.command_id
        and metadata.command_id == last.metadata.command_id
        and record.recorded_us == last.recorded_us
    )


def _note_issued(log: RecordedLog, catalog: Catalog, record: EncodedRecord) -> None:
    if record.type != event_type_of(StepIssued):
        return
    try:
        found = catalog.codec.recorded(record)
    except UnreadableEvent:
        return
    for recorded in found:
        assert isinstance(recorded.event, StepIssued)
        key = IntentKey(record.stream.type, record.stream.id, recorded.event.key)
        intent = issued_intent(recorded, recorded.event)
        if intent.effect:
            log.effects.add(key)
        for index in intent.commands:
            log.issued[str(intent.command_id(key, index))] = key


def handlers_of(aggregate: type[Aggregate]) -> Handlers:
    """Return the command handlers of an aggregate with the events that they may return."""
    definition = aggregate.__definition__
    return [
        (handler, frozenset(event_type_of(event) for event in handler.returns))
        for handler in definition.handlers.values()
    ]


def _identify(append: RecordedAppend, found: CommandRecord | None, handlers: Handlers, log: RecordedLog) -> None:
    append.fingerprint = None if found is None or is_narrow(found.fingerprint) else found.fingerprint
    if append.metadata.command_id in log.issued:
        return  # the saga's intent holds the command
    append.command = rebuilt(append, handlers)
    log.unknown_commands += append.command is None


def rebuilt(append: RecordedAppend, handlers: Handlers) -> Command | None:
    """Return the command whose handler returned the events of an append; None if it cannot be told."""
    if append.fingerprint is None:
        return None
    fields: dict[str, Any] = {}
    for record in append.records:
        for name, value in _decode_object(record.payload).items():
            fields.setdefault(name, value)
    fields["to"] = append.stream.id
    types = {record.type for record in append.records}
    for handler, returns in handlers:
        if not types <= returns:
            continue
        try:
            command = msgspec.convert(fields, type=handler.command_class)
            if handler.codec.fingerprint(*handler.codec.admit(command, _NO_LIMIT)) == append.fingerprint:
                return command
        except (msgspec.ValidationError, InvalidCommand):
            continue
    return None
