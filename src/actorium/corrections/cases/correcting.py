"""The corrections of a plan as commands to aggregates: a `@correct` method, or a command of the application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, CommandCodec, CommandHandler, command_type_of
from actorium.actors.definition import AggregateDefinition, Corrector
from actorium.actors.errors import Rejected
from actorium.catalog import Catalog
from actorium.correction_case import NOTHING, PlannedCorrection
from actorium.runtime.cluster.command_wire import CommandForm, CommandUnknown
from actorium.store.errors import InvalidCommand
from actorium.store.events import EncodedRecord, Event, Metadata, as_json
from actorium.store.names import StreamName, event_id


class EventToCorrect(msgspec.Struct, frozen=True):
    """A wrong event as it is stored; it travels with its correction, because an actor does not keep its events."""

    stream_type: str
    type: str
    schema_version: int
    payload: msgspec.Raw

    def record(self, payload: msgspec.Raw) -> EncodedRecord:
        """Return a record of this shape with a payload."""
        return EncodedRecord(
            StreamName(self.stream_type, "-"), 1, 1, 0, self.type, self.schema_version, bytes(payload), b"{}"
        )


class CorrectEvent(Command):
    """Correct a wrong event of the aggregate; `right` is as in `PlannedCorrection`."""

    command_type = "actorium.correct-event"

    event: str
    wrong: EventToCorrect
    right: msgspec.Raw = msgspec.field(default_factory=lambda: NOTHING)


def command_of(catalog: Catalog, type: str, fields: Mapping[str, Any]) -> Command:
    """Return a command of the application by its stored name, with its fields as JSON values.

    Raises InvalidCommand if the application has no such command, or if the fields do not fit.
    """
    for aggregate in catalog.aggregates:
        for command in aggregate.__definition__.handlers:
            if command_type_of(command) == type:
                try:
                    return msgspec.convert(dict(fields), type=command)
                except msgspec.ValidationError as error:
                    raise InvalidCommand(f"{type}: {error}") from error
    raise InvalidCommand(f"no aggregate of this runtime handles {type}")


class Correctable:
    """What the aggregates of a catalog say about correcting their events."""

    def __init__(self, catalog: Catalog) -> None:
        self._codec = catalog.codec
        self._definitions: dict[str, AggregateDefinition[Aggregate]] = {
            one.__definition__.stream_type: one.__definition__ for one in catalog.aggregates
        }
        self._commands = {
            command_type_of(command): command
            for definition in self._definitions.values()
            for command in definition.handlers
        }

    def planned(self, record: EncodedRecord, right: Mapping[str, Any] | None) -> PlannedCorrection:
        """Return the plan for an event that should have had other values, or should not have happened.

        Raises InvalidCommand if the aggregate has no `@correct` method for it, or if the values do not fit.
        """
        id = event_id(record.stream, record.version)
        event = self._event(record, record.payload)
        if self._corrector(record.stream.type, event) is None:
            raise InvalidCommand(
                f"{id}: no @correct method of {record.stream.type} takes {type(event).__name__}: add one, or plan a "
                "command for it"
            )
        fields = NOTHING if right is None else as_fields({**msgspec.json.decode(record.payload), **right})
        if fields != NOTHING:
            self._event(record, bytes(fields))
        return PlannedCorrection(id, record.stream.type, record.stream.id, fields)

    def planned_command(self, record: EncodedRecord, command: Command) -> PlannedCorrection:
        """Return the plan to send a command because of an event; raise InvalidCommand if nothing handles it."""
        name = command_type_of(type(command))
        for definition in self._definitions.values():
            if type(command) in definition.handlers:
                fields = as_fields(command)
                id = event_id(record.stream, record.version)
                return PlannedCorrection(id, definition.stream_type, command.to, NOTHING, name, fields)
        raise InvalidCommand(f"no aggregate of this runtime handles {name}")

    def command(self, planned: PlannedCorrection, record: EncodedRecord) -> Command:
        """Return the command of a planned correction, given the wrong event."""
        if planned.command:
            return msgspec.json.decode(planned.fields, type=self._commands[planned.command])
        wrong = EventToCorrect(record.stream.type, record.type, record.schema_version, msgspec.Raw(record.payload))
        return CorrectEvent(planned.stream_id, planned.event, wrong, planned.right)

    def handler(self, planned: PlannedCorrection) -> CommandHandler:
        """Return the handler of a planned correction's command."""
        if planned.command:
            return self._definitions[planned.stream_type].handlers[self._commands[planned.command]]
        handler = self.handlers.get(planned.stream_type)
        if handler is None:
            raise InvalidCommand(f"{planned.event}: its aggregate has no @correct method any more")
        return handler

    @property
    def handlers(self) -> Mapping[str, CommandHandler]:
        """The handlers of `CorrectEvent` by type of stream."""
        return {
            name: CommandHandler(
                CorrectEvent,
                partial(self._decide, definition),
                False,
                False,
                (),
                CommandCodec(CorrectEvent, name),
            )
            for name, definition in self._definitions.items()
            if definition.correctors
        }

    def form(self) -> CommandForm:
        """Return how corrections travel between nodes; one that this code cannot decide needs newer code."""
        decode = msgspec.json.Decoder(CorrectEvent).decode

        def known(fields: bytes) -> CorrectEvent:
            command = decode(fields)
            (event, *_) = self._codec.decode(command.wrong.record(command.wrong.payload))
            if self._corrector(command.wrong.stream_type, event) is None:
                raise CommandUnknown(f"no @correct method of this node takes {type(event).__name__}")
            return command

        return CommandForm(as_json, known)

    def _decide(self, definition: AggregateDefinition[Aggregate], state: Any, command: CorrectEvent) -> Iterable[Event]:
        """Decide as a `@correct` method does; a command that it returns is decided on the same state."""
        record = command.wrong.record(command.wrong.payload)
        wrong = self._event(record, record.payload)
        right = None if command.right == NOTHING else self._event(record, bytes(command.right))
        corrector = self._corrector(definition.stream_type, wrong)
        if corrector is None:
            raise Rejected(f"{command.event}: its aggregate has no @correct method for it any more")
        result = corrector.method(state, wrong, right) if corrector.wants_right else corrector.method(state, wrong)
        if isinstance(result, Command):
            if result.to != state.id:
                raise TypeError(f"a @correct method may return a command to its own aggregate, not to {result.to!r}")
            handler = definition.handlers[type(result)]
            result = handler.method(state, result, *((Metadata(),) if handler.wants_metadata else ()))
        if result is None:
            return ()
        return (result,) if isinstance(result, Event) else tuple(result)

    def _corrector(self, stream_type: str, event: Event) -> Corrector | None:
        definition = self._definitions.get(stream_type)
        return definition.correctors.get(type(event)) if definition is not None else None

    def _event(self, record: EncodedRecord, payload: bytes) -> Event:
        try:
            (event, *_) = self._codec.decode(msgspec.structs.replace(record, payload=payload))
        except Exception as error:
            raise InvalidCommand(f"{event_id(record.stream, record.version)}: {error}") from error
        return event


def as_fields(value: Any) -> msgspec.Raw:
    """Return a value as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))
