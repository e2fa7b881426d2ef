"""`Mutant`: one bug planted in the runtime, and how it is hunted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from actorium.simulation import Outcome, Simulation

SEEDS = 500
"""A mutant that survives so many is not found."""

Plant = Callable[[pytest.MonkeyPatch], None]
MUTANTS: list["Mutant"] = []


class Mutant(NamedTuple):
    """A bug of the runtime: the patch, the promise that it breaks, and the scenario in which it is hunted.

    since: the seed at which the suite begins the hunt, because those before it find nothing.
    """

    name: str
    promise: str
    scenario: Simulation
    plant: Plant
    store: str = "memory"
    since: int = 0

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Patch the bug into the runtime inside the block."""
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            yield

    def run(self, seed: int) -> Outcome:
        """Return the outcome of one seed, with the mutant or, outside of `planted`, without it."""
        return self.scenario.run(seed, store=self.store)

    def found(self, since: int = 0, seeds: int = SEEDS) -> Outcome | None:
        """Return the outcome of the first seed that breaks an invariant, or None if the mutant survives all seeds."""
        with self.planted():
            for seed in range(since, seeds):
                outcome = self.run(seed)
                if outcome.violation is not None:
                    return outcome
        return None


def mutant(scenario: Simulation, *, store: str = "memory", since: int = 0) -> Callable[[Plant], Plant]:
    """Make a mutant from a function that patches the runtime; its docstring states the broken promise."""

    def made(plant: Plant) -> Plant:
        assert plant.__doc__, "a mutant says what it breaks"
        MUTANTS.append(Mutant(plant.__name__, plant.__doc__, scenario, plant, store, since))
        return plant

    return made
