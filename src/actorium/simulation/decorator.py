"""`@simulation`: a scenario that is a test, and that `actorium simulate` finds in a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actorium.simulation.faults import Faults
from actorium.simulation.run import Outcome, Scenario, Wish, run
from actorium.simulation.world import World


class Simulation(msgspec.Struct, kw_only=True, eq=False, dict=True):
    """A scenario, how many seeds of it to run, and the faults it is run with.

    is_exhaustive: it is so small that every single fault can be tried with every crash, and made for that.
    Called with a world, it is the scenario itself. pytest takes it as a test, and marks may stand above it.
    """

    scenario: Scenario
    seeds: int
    faults: Faults
    is_exhaustive: bool = False

    @property
    def name(self) -> str:
        """The name of the scenario's function."""
        return self.scenario.__name__

    @property
    def __name__(self) -> str:
        return self.scenario.__name__

    def __call__(self, world: World) -> Awaitable[None]:
        return self.scenario(world)

    def run(self, seed: int, **wish: Any) -> Outcome:
        """Run one seed; keywords are those of `Wish`."""
        return run(self.scenario, Wish(seed=seed, faults=wish.pop("faults", self.faults), **wish))


def simulation(
    *, seeds: int = 200, faults: Faults | None = None, exhaustive: bool = False
) -> Callable[[Scenario], Simulation]:
    """Make a simulation of an `async def scenario(world)`; `faults` are all kinds at their usual rate.

    exhaustive: it is a small one, made for `actorium simulate --exhaustive`, which then takes such ones alone; without
    that option they are passed over.
    """

    def made(scenario: Scenario) -> Simulation:
        used = Faults.all() if faults is None else faults
        return Simulation(scenario=scenario, seeds=seeds, faults=used, is_exhaustive=exhaustive)

    return made
