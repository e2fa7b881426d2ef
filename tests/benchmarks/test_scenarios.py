"""Every scenario runs, in tiny sizes, in memory and on a file, and leaves the figure that it is compared by."""

import importlib.util
import sys
from pathlib import Path

import pytest

from actorium.benchmarks.catalog import BY_NAME, CATALOG, UnknownScenario, select
from actorium.benchmarks.child import Job, carry_out
from actorium.benchmarks.scenario import OURS, Scenario, StoreName

TINY: dict[str, float] = {
    "seconds": 0.0,
    "aggregates": 20,
    "max_live": 5,
    "callers": 3,
    "actors": 10,
    "traced": 10,
    "events": 40,
    "sagas": 5,
    "in_flight": 3,
    "acknowledged": 5,
    "batch": 7,
    "threads": 2,
    "at_once": 2,
    "own_ids": 1,
    "per_second": 100,
    "burst": 5,
}
# Sizes below which there is nothing to measure.
LEAST: dict[str, dict[str, float]] = {
    "open-loop": {"seconds": 0.05},
    "overload": {"seconds": 0.05},
    "catch-up": {"events": 1_000},
    "recovery": {"events": 1_000},
    "saga-timers": {"burst": 3},
    "idle-actors": {"traced": 2_000},
}
CASES = [(scenario, store) for scenario in CATALOG for store in scenario.stores if store != "normal"]


def sizes(scenario: Scenario) -> dict[str, float]:
    """The sizes of a run that takes no time worth mentioning."""
    return {name: LEAST.get(scenario.name, {}).get(name, TINY[name]) for name in scenario.sizes}


@pytest.mark.skipif(sys.platform == "win32", reason="a kill and arrivals over a pipe need a POSIX system")
@pytest.mark.parametrize(("scenario", "store"), CASES, ids=[f"{one.name}-{store}" for one, store in CASES])
def test_a_scenario_runs(scenario: Scenario, store: StoreName, tmp_path: Path) -> None:
    if scenario.needs and importlib.util.find_spec(scenario.needs) is None:
        pytest.skip(f"{scenario.needs} is not installed")
    outcome = carry_out(Job(scenario.name, store, sizes(scenario), str(tmp_path), seed=1), tmp_path)
    assert outcome.wrong == ""
    assert outcome.figures[scenario.headline] > 0
    in_force = f"synchronous={store.upper()}" if scenario.subject == OURS and store != "memory" else ""
    assert in_force in outcome.durability


@pytest.mark.parametrize("scenario", CATALOG, ids=lambda one: one.name)
def test_a_scenario_says_what_it_does(scenario: Scenario) -> None:
    assert scenario.question
    assert set(scenario.quick_stores) <= set(scenario.stores)
    assert scenario.quick is None or scenario.quick.keys() == scenario.sizes.keys()
    assert {BY_NAME[name].name for name in scenario.beside} == set(scenario.beside)


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(CATALOG)


def test_scenarios_are_selected_by_parts_of_their_names() -> None:
    assert [one.name for one in select(["hot", "replay"])] == ["one-hot", "ten-hot", "replay"]
    assert select([]) == list(CATALOG)


def test_a_part_of_no_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownScenario, match=r"no scenario's name holds 'warm'; there are one-caller, "):
        select(["hot", "warm"])
