"""What the two services of a run hold: accounts here, marks there, and a saga over both."""

from __future__ import annotations

from actorium import Aggregate, Command, Event, Projection, Saga, decide, evolve, on, query, starts, step
from actorium.benchmarks.account import Deposited

MARKED_ACCOUNTS = 500


class BeginTrip(Command):
    """Start a trip."""

    number: int


class TripBegun(Event):
    """A trip was started."""

    number: int


class StampHere(Command):
    """Leave a stamp in the service of the saga."""

    number: int


class StampedHere(Event):
    """A stamp was left in the service of the saga."""

    number: int


class StampThere(Command):
    """Leave a stamp in the other service."""

    number: int


class StampedThere(Event):
    """A stamp was left in the other service."""

    number: int


class Desk(Aggregate):
    """Starts trips, and takes stamps in the service of the saga."""

    stamps: int = 0

    @decide
    def begin(self, command: BeginTrip) -> TripBegun:
        return TripBegun(command.number)

    @decide
    def stamp(self, command: StampHere) -> StampedHere:
        return StampedHere(command.number)

    @evolve
    def begun(self, event: TripBegun) -> None:
        pass

    @evolve
    def stamped(self, event: StampedHere) -> None:
        self.stamps += 1


class FarDesk(Aggregate):
    """Takes stamps in the other service."""

    stamps: int = 0

    @decide
    def stamp(self, command: StampThere) -> StampedThere:
        return StampedThere(command.number)

    @evolve
    def stamped(self, event: StampedThere) -> None:
        self.stamps += 1


class Trip(Saga):
    """Leaves a stamp in this service, then one in the other."""

    number: int = 0

    @starts
    def begun(self, event: TripBegun) -> None:
        self.number = event.number

    @step(undo=None)
    def here(self) -> StampHere:
        return StampHere(f"account-{self.number % MARKED_ACCOUNTS}", self.number)

    @step
    def there(self) -> StampThere:
        return StampThere(f"account-{(self.number * 7 + 1) % MARKED_ACCOUNTS}", self.number)


class DepositCount(Projection):
    """The number and the sum of the deposits that arrived."""

    count: int = 0
    total: int = 0

    @on
    def deposited(self, event: Deposited) -> None:
        self.count += 1
        self.total += event.amount

    @query
    def so_far(self) -> tuple[int, int]:
        """Return both."""
        return self.count, self.total
