"""The corrections of a plan as commands to aggregates: a `@correct` method, or a command of the application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, CommandCodec, CommandHandler, command_type_of
from actorium.actors.definition import AggregateDefinition, Corrector
from actorium.catalog import Catalog
from actorium.correction_case import NOTHING, PlannedCorrection
from actorium.store.errors import InvalidCommand
from actorium.store.events import EncodedRecord, Event, Metadata
from actorium.store.names import event_id


class CorrectEvent(Command):
    """Correct a wrong event of the aggregate; `right` is as in `PlannedCorrection`."""

    event: str
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
        if self._corrector(record, event) is None:
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

    def command(self, planned: PlannedCorrection) -> Command:
        """Return the command of a planned correction."""
        if planned.command:
            return msgspec.json.decode(planned.fields, type=self._commands[planned.command])
        return CorrectEvent(planned.stream_id, planned.event, planned.right)

    def handler(self, planned: PlannedCorrection, record: EncodedRecord) -> CommandHandler:
        """Return the handler of a planned correction's command, given the wrong event."""
        definition = self._definitions[planned.stream_type]
        if planned.command:
            return definition.handlers[self._commands[planned.command]]
        wrong = self._event(record, record.payload)
        right = None if planned.right == NOTHING else self._event(record, bytes(planned.right))
        corrector = self._corrector(record, wrong)
        if corrector is None:
            raise InvalidCommand(f"{planned.event}: its aggregate has no @correct method any more")
        codec = CommandCodec(CorrectEvent, planned.stream_type)
        return CommandHandler(CorrectEvent, _method(corrector, definition, wrong, right), False, False, (), codec)

    def _corrector(self, record: EncodedRecord, event: Event) -> Corrector | None:
        definition = self._definitions.get(record.stream.type)
        return definition.correctors.get(type(event)) if definition is not None else None

    def _event(self, record: EncodedRecord, payload: bytes) -> Event:
        try:
            (event, *_) = self._codec.decode(msgspec.structs.replace(record, payload=payload))
        except Exception as error:
            raise InvalidCommand(f"{event_id(record.stream, record.version)}: {error}") from error
        return event


def _method(
    corrector: Corrector, definition: AggregateDefinition[Aggregate], wrong: Event, right: Event | None
) -> Callable[[Any, Command], Iterable[Event]]:
    """Return the decision of a `@correct` method; a command that it returns is decided on the same state."""

    def decide(state: Any, command: Command) -> Iterable[Event]:
        result = corrector.method(state, wrong, right) if corrector.wants_right else corrector.method(state, wrong)
        if isinstance(result, Command):
            if result.to != state.id:
                raise TypeError(f"a @correct method may return a command to its own aggregate, not to {result.to!r}")
            handler = definition.handlers[type(result)]
            result = handler.method(state, result, *((Metadata(),) if handler.wants_metadata else ()))
        if result is None:
            return ()
        return (result,) if isinstance(result, Event) else tuple(result)

    return decide


def as_fields(value: Any) -> msgspec.Raw:
    """Return a value as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))
