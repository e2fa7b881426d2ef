"""`@simulation`: marks a scenario as a test that pytest runs and `actorium simulate` finds in a file."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, overload

import msgspec

from actorium.simulation.search.run import Outcome, RunOptions, Scenario, run
from actorium.simulation.world.faults import Faults
from actorium.simulation.world.machine import STEPS_MAX
from actorium.simulation.world.world import World
from actorium.store.errors import ConfigurationError


class Simulation(msgspec.Struct, kw_only=True, eq=False, dict=True):
    """A scenario, with the number of seeds and the faults to run it with.

    Calling it with a world runs the scenario itself. pytest collects it as a test, and marks may be applied to it.

    is_exhaustive: the scenario is small enough to try every single fault with every crash, and is meant for that.
    steps_max: the run breaks the invariant "the run ends" if it takes more steps.
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

    def run(self, seed: int, **options: Any) -> Outcome:
        """Run one seed; the keyword arguments are those of `RunOptions`."""
        return run(self.scenario, self.options(seed, **options))

    def options(self, seed: int, *, faults: Faults | None = None, **more: Any) -> RunOptions:
        """Return the options for one run, by default with its own faults; see `RunOptions` for the other arguments."""
        used = self.faults if faults is None else faults
        return RunOptions(seed=seed, faults=used, **{"steps_max": self.steps_max, **more})


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
    """Turn an `async def scenario(world)` into a simulation; by default, with every kind of fault at its usual rate.

    seeds: how many seeds a run of the simulation tries.
    faults: which faults happen and how often.
    exhaustive: whether the scenario is small enough for `actorium simulate --exhaustive`, which runs only such
        scenarios; other runs skip them.
    steps_max: how many steps a run may take before it counts as endless; a dozen sagas with faults take about 2,000.

    Raises ConfigurationError if the function is not a scenario, or for fewer than one seed.
    """
    if seeds < 1:
        raise ConfigurationError(f"a simulation needs at least one seed, not {seeds}")

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
            f"{name} is called with the world as its only argument, but takes {inspect.signature(scenario)}: "
            f"write it as `async def {name}(world)`"
        ) from None
