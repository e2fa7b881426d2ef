"""What the nodes run to measure sagas: desks that open routes, and a saga that marks three accounts for each route."""

from __future__ import annotations

from actorium import Aggregate, Command, Event, Saga, decide, evolve, starts, step
from actorium.benchmarks.scenarios.sagas import LeaveMark, TransferAccount

ACCOUNTS = 500


class OpenRoute(Command):
    """Start a saga with this id."""

    route: str
    number: int


class RouteOpened(Event):
    """A saga is to start."""

    route: str
    number: int


class RouteDesk(Aggregate):
    """Opens routes."""

    opened: int = 0

    @decide
    def open(self, command: OpenRoute) -> RouteOpened:
        return RouteOpened(command.route, command.number)

    @evolve
    def counted(self, event: RouteOpened) -> None:
        self.opened += 1


class Route(Saga):
    """Leaves a mark on three accounts, one after the other."""

    number: int = 0

    @starts(correlate="route")
    def opened(self, event: RouteOpened) -> None:
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


PARTS = [RouteDesk, TransferAccount, Route]
