"""`History`: what the clients of a run did and were told, with the steps at which they asked and were answered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of


class Operation(msgspec.Struct):
    """One `send` of a client, from its first attempt to its answer.

    `name` is its identity in every run of the scenario: the command's type, whom it was for, and the how manieth of
    those. `asked` and `answered` are steps of the world (0: no answer yet), `seen` the end of the log when it was asked
    and `known` when it was answered. `answer` is an Ack or what was raised. `left_out` says that it was never sent.
    """

    name: str
    command: Command
    command_id: str
    asked: int
    seen: int
    answered: int = 0
    known: int = 0
    answer: Any = None
    attempts: int = 0
    left_out: bool = False


class History:
    """The operations of all clients, in the order in which they began."""

    def __init__(self, leave_out: Collection[str] = ()) -> None:
        self.operations: list[Operation] = []
        self._counts: dict[str, int] = {}
        self._leave_out = frozenset(leave_out)

    def begin(self, command: Command, command_id: str | None, step: int, position: int) -> Operation:
        """Take note of a command that a client is about to send."""
        what = f"{command_type_of(type(command))} {command.to}"
        number = self._counts[what] = self._counts.get(what, 0) + 1
        name = what if number == 1 else f"{what} #{number}"
        operation = Operation(name, command, command_id or name, step, position, left_out=name in self._leave_out)
        self.operations.append(operation)
        return operation
