"""The examples' simulations, a few seeds of each; `actorium simulate` runs the thousands."""

import pytest

from actorium.simulation.discovery import find_simulations
from actorium.simulation.place import Place
from actorium.simulation.verdict import judge

SEEDS = 12
PLACES = [place for example in ("bank", "orders") for place in find_simulations(f"actorium.examples.{example}")]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_few_seeds_hold(place: Place) -> None:
    verdict = judge(place.load(), seeds=SEEDS)
    assert verdict.failure is None
    assert verdict.tally.seeds == SEEDS
    assert verdict.tally.faults  # something did go wrong on the way
