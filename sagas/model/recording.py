"""Converts sagas and their commands to recorded form and back, and describes events and bugs of sagas as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.sagas.model.events import IssuedCommand, as_recorded
from actorium.sagas.model.state import SagaState
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, repr_of

log = logger("actorium.sagas")


def saga_of(saga_class: type[SagaState], state: msgspec.Raw, id: str, reason: str) -> SagaState:
    """Return a saga with its recorded fields."""
    saga = msgspec.json.decode(state, type=saga_class)
    saga.id, saga.reason = id, reason
    return saga


def state_of(saga: SagaState) -> dict[str, Any]:
    """Return a saga's fields in recorded form, without the fields that every saga has."""
    state: dict[str, Any] = msgspec.to_builtins(saga, str_keys=True)
    del state["id"], state["reason"], state["ended"]
    return state


def bug_text(method: Any, raised: BaseException) -> str:
    """Return the reason for the failure of a saga whose method raised, and log the traceback."""
    let_through(raised)
    reason = f"{method.__qualname__} raised {error_text(raised)}"
    log.error("saga_method_failed", error=reason, traceback=raised)
    return reason


def event_text(recorded: RecordedEvent[Event]) -> str:
    """Return a description of an event for a person."""
    return f"{type(recorded.event).__name__} at {recorded.stream_type}<{recorded.stream_id}> version {recorded.version}"


def command_of(issued: IssuedCommand, command_class: type[Command]) -> Command:
    """Return a recorded command; raise msgspec.ValidationError if its class has changed too much."""
    return msgspec.json.decode(issued.fields, type=command_class)


def issued_command(command: Command) -> IssuedCommand:
    """Return a command as it is recorded; raise ValueError for a field that JSON would change."""
    return IssuedCommand(command_type_of(type(command)), as_recorded(msgspec.to_builtins(command, str_keys=True)))


def issued_commands(returned: Any, name: str) -> tuple[IssuedCommand, ...]:
    """Return the result of a step or a handler as commands to issue."""
    if returned is None:
        return ()
    if isinstance(returned, Command):
        return (issued_command(returned),)
    if not isinstance(returned, Iterable):
        raise TypeError(f"{name} returned {repr_of(returned)}: return a command, several commands, or None")
    issued = []
    for command in returned:
        if not isinstance(command, Command):
            raise TypeError(f"{name} returned {repr_of(command)}, which is not a Command")
        issued.append(issued_command(command))
    return tuple(issued)
