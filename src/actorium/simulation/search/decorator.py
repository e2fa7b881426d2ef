"""`@simulation`: a scenario that is a test, and that `actorium simulate` finds in a file."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, overload

import msgspec

from actorium.simulation.search.run import Outcome, Scenario, Wish, run
from actorium.simulation.world.faults import Faults
from actorium.simulation.world.machine import STEPS_MAX
from actorium.simulation.world.world import World
from actorium.store.errors import ConfigurationError


class Simulation(msgspec.Struct, kw_only=True, eq=False, dict=True):
    """A scenario, how many seeds of it to run, and the faults it is run with.

    is_exhaustive: it is so small that every single fault can be tried with every crash, and made for that. steps_max: a
    run that takes more steps breaks the invariant that it ends.
    Called with a world, it is the scenario itself. pytest takes it as a test, and marks may stand above it.
    """

    scenario: Scenario
    seeds: int
    faults: Faults
    is_exhaustive: bool = False
    steps_max: int = STEPS_MAX

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
        return run(self.scenario, self.wish(seed, **wish))

    def wish(self, seed: int, *, faults: Faults | None = None, **more: Any) -> Wish:
        """Return what asks for a run of it; its own faults by default, other keywords are those of `Wish`."""
        used = self.faults if faults is None else faults
        return Wish(seed=seed, faults=used, **{"steps_max": self.steps_max, **more})


@overload
def simulation(scenario: Scenario, /) -> Simulation: ...


@overload
def simulation(
    *, seeds: int = ..., faults: Faults | None = ..., exhaustive: bool = ..., steps_max: int = ...
) -> Callable[[Scenario], Simulation]: ...


def simulation(
    scenario: Scenario | None = None,
    /,
    *,
    seeds: int = 200,
    faults: Faults | None = None,
    exhaustive: bool = False,
    steps_max: int = STEPS_MAX,
) -> Simulation | Callable[[Scenario], Simulation]:
    """Make a simulation of an `async def scenario(world)`; `faults` are all kinds at their usual rate.

    exhaustive: it is a small one, made for `actorium simulate --exhaustive`, which then takes such ones alone; without
    that option they are passed over. steps_max: how many steps a run may take before it counts as one that never ends;
    a dozen of sagas with their faults takes some 2,000. Raises ConfigurationError for what is no scenario,
    and for less than one seed.
    """
    if seeds < 1:
        raise ConfigurationError(f"a simulation of {seeds} seeds shows nothing: give it one at least")

    def made(scenario: Scenario) -> Simulation:
        _require_scenario(scenario)
        used = Faults.all() if faults is None else faults
        return Simulation(scenario=scenario, seeds=seeds, faults=used, is_exhaustive=exhaustive, steps_max=steps_max)

    return made if scenario is None else made(scenario)


def _require_scenario(scenario: Scenario) -> None:
    name = getattr(scenario, "__name__", repr(scenario))
    if not inspect.iscoroutinefunction(scenario):
        raise ConfigurationError(f"{name} is marked with @simulation: write it as `async def {name}(world)`")
    try:
        inspect.signature(scenario).bind(object())
    except TypeError:
        raise ConfigurationError(
            f"{name} is given the world and nothing else, and takes {inspect.signature(scenario)}: "
            f"write it as `async def {name}(world)`"
        ) from None
