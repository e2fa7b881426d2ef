"""`History`: what the clients of a run did and were told, and what the log held when they asked and were answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, command_type_of
from actorium.store.events import Metadata

UNKNOWN = -1


class ClientDelivery(msgspec.Struct, eq=False):
    """One request that reached the runtime, and what the runtime said to it, whether or not anybody heard.

    `seen` is the end of the log when it came, `known` when it was answered; UNKNOWN: it never was, the process died.
    is_of_old_release: other classes than those of now said it.
    """

    seen: int
    known: int = UNKNOWN
    answer: Any = None
    is_of_old_release: bool = False


class Operation(msgspec.Struct, eq=False):
    """One command of a client, from its first attempt to its answer.

    `name` is its identity in every run of the scenario: the command's type, whom it was for, and the how manieth of
    those. `asked` and `answered` are steps of the world (0: no answer yet), `seen` the end of the log when it was asked
    and `known` when it was answered. `answer` is an Ack or what was raised. `left_out` says that it was never sent.
    `deliveries` are its attempts as the runtime got them, doubled requests included. in_calm: the scenario sent
    it without faults, as to set up.
    """

    name: str
    command: Command
    command_id: str
    asked: int
    seen: int
    answered: int = 0
    known: int = UNKNOWN
    answer: Any = None
    attempts: int = 0
    left_out: bool = False
    in_calm: bool = False
    how: Literal["send", "submit", "tell"] = "send"
    expected_version: int | None = None
    correlation_id: str = ""
    causation_id: str = ""
    headers: Mapping[str, str] = {}
    deliveries: list[ClientDelivery] = []

    @property
    def effect_id(self) -> str:
        """The command id under which its own effect is in the log; that of what was told is not known."""
        return self.command_id if self.how == "send" else f"{self.how} {self.command_id}"

    @property
    def metadata(self) -> Metadata:
        """What its handler is given beside the command."""
        return Metadata(self.command_id, self.correlation_id, self.causation_id, dict(self.headers))

    def delivered(self, seen: int) -> ClientDelivery:
        """Take note that the runtime gets it, once more."""
        self.attempts += 1
        delivery = ClientDelivery(seen)
        self.deliveries.append(delivery)
        return delivery


class ClientRead(msgspec.Struct, eq=False):
    """One look at an aggregate's state, by its class and id, as it is or as it was at a version."""

    aggregate: type[Aggregate]
    id: str
    at_version: int | None
    delivery: ClientDelivery


class Asking(msgspec.Struct, eq=False):
    """One query of a projection; its answer was to hold everything up to the position `after`."""

    query: Any  # a Query; a field of that type would be a descriptor to a type checker
    arguments: tuple[Any, ...]
    after: int
    delivery: ClientDelivery


class History:
    """The operations of all clients, in the order in which they began, and what was read."""

    def __init__(self, leave_out: Collection[str] = ()) -> None:
        self.operations: list[Operation] = []
        self.readings: list[ClientRead] = []
        self.askings: list[Asking] = []
        self._counts: dict[str, int] = {}
        self._leave_out = frozenset(leave_out)
        self.deployed_at = 0

    def deployed(self, position: int) -> None:
        """Take note that what was said and decided up to a position was by other classes than what will be."""
        self.deployed_at = position
        self.readings.clear()
        self.askings.clear()
        for operation in self.operations:
            for delivery in operation.deliveries:
                delivery.is_of_old_release = True

    def begin(self, command: Command, command_id: str | None, step: int, position: int, **more: Any) -> Operation:
        """Take note of a command that a client is about to send; `more` are further fields of the operation."""
        what = f"{command_type_of(type(command))} {command.to}"
        number = self._counts[what] = self._counts.get(what, 0) + 1
        name = what if number == 1 else f"{what} #{number}"
        left_out = name in self._leave_out
        operation = Operation(name, command, command_id or name, step, position, left_out=left_out, **more)
        self.operations.append(operation)
        return operation
