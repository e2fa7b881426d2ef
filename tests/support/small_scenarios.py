"""The smallest possible scenarios: additions to a sum; one holds, one always breaks its invariant."""

from actorium import Aggregate, Command, Event, decide, evolve
from actorium.simulation import View, World, simulation


class Add(Command):
    amount: int


class Added(Event):
    amount: int


class Sum(Aggregate):
    amount: int = 0

    @decide
    def add(self, command: Add) -> Added:
        return Added(command.amount)

    @evolve
    def added(self, event: Added) -> None:
        self.amount += event.amount


def total(view: View) -> int:
    """The sum of all values."""
    return sum(one.amount for one in view.all(Sum))


@simulation(seeds=3)
async def holding(world: World) -> None:
    sums = world.runtime([Sum])
    world.always("nothing is below zero", lambda view: total(view) >= 0)
    for to in ("a", "a", "b", "b"):
        await sums.send(Add(to, 1))


@simulation(seeds=3)
async def broken(world: World) -> None:
    sums = world.runtime([Sum])
    world.conserved("nothing is added", total)
    for _ in range(3):
        await sums.send(Add("a", 1))
