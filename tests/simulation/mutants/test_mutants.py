"""The simulator finds each bug planted in the runtime, and finds nothing without one."""

import pytest
from simulation.mutants.mutant import MUTANTS, SEEDS, Mutant
from simulation.mutants.planted import PLANTED


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_and_the_real_runtime_passes_the_same_seed(mutant: Mutant) -> None:
    found = mutant.found(mutant.since)
    assert found is not None, f"{mutant.name} survives {SEEDS} seeds: {mutant.promise}"
    assert mutant.run(found.options.seed).violation is None


def test_there_are_mutants_of_each_part() -> None:
    assert all(any(one.plant.__module__ == part.__name__ for one in MUTANTS) for part in PLANTED)
    assert len({one.name for one in MUTANTS}) == len(MUTANTS) >= 20
