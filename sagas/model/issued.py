"""Commands as sagas and submissions record them, and the commands that a step's method returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.sagas.model.events import IssuedCommand, as_recorded
from actorium.store.raised import repr_of


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
