"""A log that a test writes by hand, with a simulated world's knowledge of it, for checks that must find errors."""

from collections.abc import Sequence
from typing import Any

from support.transfers import Account, Desk, Transfer

from actorium import Ack, Command, Event, Runtime
from actorium.simulation.checks.effects import Effects
from actorium.simulation.checks.replies import ReplyCheck
from actorium.simulation.checks.streams import Streams
from actorium.simulation.record.history import ClientDelivery, ClientRead, History, Operation
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.events import EncodedRecord, Metadata, as_json, event_type_of
from actorium.store.names import StreamName


class WrittenLog:
    """What was committed, and every violation that the checks told of, by the name of its invariant."""

    def __init__(self, *parts: Any) -> None:
        self.found: list[str] = []
        self.told: list[tuple[object, object]] = []
        self.witness = Witness()
        self.history = History()
        self.runtime = Runtime([Account, Desk, Transfer, *parts], store="memory://")
        self.view = View(self.witness, self.runtime)
        self.effects = Effects(self.witness, self.view, self.violated)
        self.replies = ReplyCheck(self.witness, self.view, self.effects, self.history, self.violated)
        self.witness.listeners.append(self.effects.committed)

    def violated(
        self, invariant: str, expected: object, actual: object, *, culprit: str = "", is_stated: bool = False
    ) -> None:
        self.found.append(invariant)
        self.told.append((expected, actual))

    def records(
        self, to: str, events: Sequence[Event], command_id: str, causation_id: str = "", kind: str = "Account"
    ) -> list[EncodedRecord]:
        """Return the records of one append at the end of the log, without committing them."""
        name = StreamName(kind, to)
        version, position = len(self.witness.streams.get(name, ())), self.witness.position
        metadata = as_json(Metadata(command_id, "", causation_id, {}))
        return [
            EncodedRecord(
                name, version + n, position + n, 1_000, event_type_of(type(event)), 1, as_json(event), metadata
            )
            for n, event in enumerate(events, 1)
        ]

    def commit(
        self, to: str, *events: Event, command_id: str = "", causation_id: str = "", kind: str = "Account"
    ) -> int:
        """Commit one append; return the last position."""
        self.witness.saw(self.records(to, events, command_id, causation_id, kind))
        return self.witness.position

    def sent(
        self,
        command: Command,
        answer: object,
        *,
        seen: int | None = None,
        known: int | None = None,
        command_id: str | None = None,
        expected_version: int | None = None,
    ) -> tuple[Operation, ClientDelivery]:
        """Record a command that was sent and answered; by default with the whole log as it is now."""
        seen = self.witness.position if seen is None else seen
        operation = self.history.begin(command, command_id, 1, seen, expected_version=expected_version)
        self.replies.asked(operation)
        delivery = operation.delivered(seen)
        delivery.known = self.witness.position if known is None else known
        delivery.answer = operation.answer = answer
        return operation, delivery

    def answered(self, command: Command, answer: object, **more: Any) -> None:
        """Check an answer when it is given."""
        self.replies.answered(*self.sent(command, answer, **more))

    def was_read(self, id: str, answer: object, *, seen: int, known: int, at_version: int | None = None) -> None:
        """Record a read of an account."""
        self.history.readings.append(ClientRead(Account, id, at_version, ClientDelivery(seen, known, answer)))

    def judged(self) -> list[str]:
        """Check the streams; return the violations."""
        Streams(self.witness, self.view, self.effects, self.history, self.violated).look()
        return self.found


def ack(log: WrittenLog, to: str, *events: Event, command_id: str, duplicate: bool = False) -> Ack:
    """Return the acknowledgement of the last commit."""
    last = log.witness.records[-1]
    return Ack(to, last.version, last.position, events, command_id, duplicate)
