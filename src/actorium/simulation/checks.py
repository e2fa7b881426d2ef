"""`Checks`: what must hold in every run: the runtime's promises, and the invariants that a scenario states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from actorium.actors.commands import Ack
from actorium.sagas.runtime import Runtime
from actorium.simulation.history import History, Operation
from actorium.simulation.view import View
from actorium.simulation.witness import Witness
from actorium.store.codec import decode_metadata
from actorium.store.events import EncodedRecord

if TYPE_CHECKING:
    from actorium.simulation.node import Node

_UNSET = object()


class Rule(msgspec.Struct):
    """An invariant of the scenario: of a `kind` (always, conserved, eventually), by name."""

    kind: str
    name: str
    value: Callable[[View], object]
    within_s: float = 0.0
    first: Any = _UNSET


class Checks:
    """The invariants of one node; `violated(name, expected, actual)` is told of the first that does not hold."""

    def __init__(
        self,
        view: View,
        witness: Witness,
        history: History,
        described: Runtime,
        violated: Callable[[str, object, object], None],
    ) -> None:
        self._view = view
        self._witness = witness
        self._history = history
        self._described = described
        self._violated = violated
        self._rules: list[Rule] = []
        self._commands: dict[str, tuple[str, int]] = {}
        witness.listeners.append(self._committed)

    def add(self, rule: Rule) -> None:
        """Take an invariant of the scenario."""
        self._rules.append(rule)
        if rule.kind == "conserved":
            rule.first = rule.value(self._view)

    def calmed(self) -> None:
        """Take the values that are conserved from here on: what was set up is set up."""
        for rule in self._rules:
            if rule.kind == "conserved":
                rule.first = rule.value(self._view)

    def _committed(self, records: Sequence[EncodedRecord]) -> None:
        for record in records:
            command_id = decode_metadata(record.metadata).command_id
            place = (str(record.stream), self._witness.steps[-1])
            if command_id and self._commands.setdefault(command_id, place) != place:
                self._violated(
                    "a command takes effect once", f"{command_id} at {self._commands[command_id]}", f"again at {place}"
                )
        for rule in self._rules:
            if rule.kind == "always" and not rule.value(self._view):
                self._violated(rule.name, "to hold after every commit", f"not after position {self._view.position}")

    def answered(self, operation: Operation) -> None:
        """Look at an answer as it reaches the client."""
        ack = operation.answer
        if not isinstance(ack, Ack) or not ack.events:
            return
        records = self._witness.records
        if ack.position > len(records):
            self._violated(
                "what is acknowledged is durable", f"{operation.name} at {ack.position}", f"a log of {len(records)}"
            )
            return
        last = records[ack.position - 1]
        found = decode_metadata(last.metadata).command_id
        if (last.version, found) != (ack.version, operation.command_id):
            self._violated(
                "what is acknowledged is in the log",
                f"{operation.command_id} at version {ack.version}",
                f"{found} at version {last.version}",
            )

    async def at_rest(self, node: Node) -> None:
        """Look at everything, now that the world is at rest."""
        for rule in self._rules:
            value = rule.value(self._view)
            if rule.kind == "conserved" and value != rule.first:
                self._violated(rule.name, rule.first, value)
            elif rule.kind == "eventually" and not value:
                self._violated(rule.name, "to hold at the end", "it does not")
