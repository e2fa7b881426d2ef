"""`History`: the clients' operations and the answers they got, with the state of the log at each request and answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, command_type_of
from actorium.runtime.commands.derived_ids import derived_id
from actorium.store.events import Metadata

UNKNOWN = -1


class ClientDelivery(msgspec.Struct, eq=False):
    """One request that reached the runtime, and the runtime's answer, whether or not it reached the client.

    seen: the end of the log when the request arrived.
    known: the end of the log when it was answered; UNKNOWN if it never was because the process died.
    is_of_old_release: other classes than the current ones gave the answer.
    """

    seen: int
    known: int = UNKNOWN
    answer: Any = None
    is_of_old_release: bool = False


class Operation(msgspec.Struct, eq=False):
    """One command of a client, from its first attempt to its answer.

    name: its identity in every run of the scenario: the command's type, its target, and the occurrence number of the
        two.
    asked, answered: steps of the world; 0 if there is no answer yet.
    seen, known: the end of the log at the request and at the answer.
    answer: an Ack or the exception raised.
    left_out: the command was never sent.
    deliveries: its attempts as the runtime received them, doubled requests included.
    in_calm: the scenario sent it without faults, for example during setup.
    reads: the types of the events that its acknowledgement may hold, if another service sent it; None: all.
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
    reads: Collection[str] | None = None
    expected_version: int | None = None
    correlation_id: str = ""
    causation_id: str = ""
    headers: Mapping[str, str] = {}
    deliveries: list[ClientDelivery] = []

    @property
    def effect_id(self) -> str:
        """The command id that marks its effect in the log; not known for a command sent with `tell`."""
        return self.command_id if self.how == "send" else derived_id(f"{self.how} {self.command_id}")

    @property
    def metadata(self) -> Metadata:
        """The metadata passed to its handler."""
        return Metadata(self.command_id, self.correlation_id, self.causation_id, dict(self.headers))

    def delivered(self, seen: int) -> ClientDelivery:
        """Record one more delivery to the runtime."""
        self.attempts += 1
        delivery = ClientDelivery(seen)
        self.deliveries.append(delivery)
        return delivery


class ClientRead(msgspec.Struct, eq=False):
    """One read of an aggregate's state, by class and id: the current state, or the one at a version."""

    aggregate: type[Aggregate]
    id: str
    at_version: int | None
    delivery: ClientDelivery


class Asking(msgspec.Struct, eq=False):
    """One query of a projection; its answer had to include everything up to the position `after`."""

    query: Any  # a Query; a type checker would treat a field of that type as a descriptor
    arguments: tuple[Any, ...]
    after: int
    delivery: ClientDelivery


class History:
    """The operations of all clients, in the order in which they began, and their reads."""

    def __init__(self, leave_out: Collection[str] = ()) -> None:
        self.operations: list[Operation] = []
        self.readings: list[ClientRead] = []
        self.askings: list[Asking] = []
        self._counts: dict[str, int] = {}
        self._leave_out = frozenset(leave_out)
        self.deployed_at = 0

    def deployed(self, position: int) -> None:
        """Record that decisions and answers up to a position were made by other classes than later ones."""
        self.deployed_at = position
        self.readings.clear()
        self.askings.clear()
        for operation in self.operations:
            for delivery in operation.deliveries:
                delivery.is_of_old_release = True

    def begin(self, command: Command, command_id: str | None, step: int, position: int, **more: Any) -> Operation:
        """Record a command that a client is about to send; `more` are further fields of the operation."""
        what = f"{command_type_of(type(command))} {command.to}"
        number = self._counts[what] = self._counts.get(what, 0) + 1
        name = what if number == 1 else f"{what} #{number}"
        left_out = name in self._leave_out
        operation = Operation(name, command, command_id or name, step, position, left_out=left_out, **more)
        self.operations.append(operation)
        return operation
