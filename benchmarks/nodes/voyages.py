"""What nodes run to measure sagas: desks that open voyages, and a saga that marks three accounts for each of them."""

from __future__ import annotations

from actorium import Aggregate, Command, Event, Saga, decide, evolve, starts, step
from actorium.benchmarks.scenarios.sagas import LeaveMark, TransferAccount

ACCOUNTS = 500


class OpenVoyage(Command):
    """Start a saga with this id."""

    voyage: str
    number: int


class VoyageOpened(Event):
    """A saga is to start."""

    voyage: str
    number: int


class VoyageDesk(Aggregate):
    """Opens voyages."""

    opened: int = 0

    @decide
    def open(self, command: OpenVoyage) -> VoyageOpened:
        return VoyageOpened(command.voyage, command.number)

    @evolve
    def counted(self, event: VoyageOpened) -> None:
        self.opened += 1


class Voyage(Saga):
    """Leaves a mark on three accounts, one after the other."""

    number: int = 0

    @starts(correlate="voyage")
    def opened(self, event: VoyageOpened) -> None:
        self.number = event.number

    @step(undo=None)
    def first(self) -> LeaveMark:
        return LeaveMark(f"account-{self.number % ACCOUNTS}", self.number)

    @step(undo=None)
    def second(self) -> LeaveMark:
        return LeaveMark(f"account-{(self.number * 7 + 1) % ACCOUNTS}", self.number)

    @step
    def third(self) -> LeaveMark:
        return LeaveMark(f"account-{(self.number * 13 + 2) % ACCOUNTS}", self.number)


PARTS = [VoyageDesk, TransferAccount, Voyage]
