"""Every scenario runs, in tiny sizes, in memory and on a file, and returns its main figure."""

import asyncio
import importlib.util
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.postgres_server import shared_server_url

from actorium.benchmarks.catalog import BY_NAME, CATALOG, UnknownScenario, select
from actorium.benchmarks.child import Job, carry_out
from actorium.benchmarks.databases import Databases, ServerPlace
from actorium.benchmarks.scenario import OURS, Bench, Scenario, StoreName, Wrong
from actorium.benchmarks.suite import run_job
from actorium.testing.postgresql.server import own_server

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
    "commands": 6,
    "rounds": 1,
    "is_cold": 1,
    "consoles": 2,
}
# Sizes below which there is nothing to measure.
LEAST: dict[str, dict[str, float]] = {
    "open-loop": {"seconds": 0.05},
    "overload": {"seconds": 0.05},
    "service-overload": {"seconds": 0.5},
    "watched": {"seconds": 0.05},
    "catch-up": {"events": 1_000},
    "catch-up-rows": {"events": 1_000},
    "recovery": {"events": 1_000},
    "saga-timers": {"burst": 3},
    "idle-actors": {"traced": 2_000},
}
CASES = [(scenario, store) for scenario in CATALOG for store in scenario.stores if store != "normal"]


def sizes(scenario: Scenario) -> dict[str, float]:
    """The sizes of a very short run."""
    return {name: LEAST.get(scenario.name, {}).get(name, TINY[name]) for name in scenario.sizes}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerPlace]:
    """A server that flushes, as measurements need one."""
    with own_server() as found:
        assert found.process is not None
        yield ServerPlace(found.url(), found.process.pid, "actorium_test_")


@pytest.mark.skipif(sys.platform == "win32", reason="a kill and arrivals over a pipe need a POSIX system")
@pytest.mark.parametrize(("scenario", "store"), CASES, ids=[f"{one.name}-{store}" for one, store in CASES])
def test_a_scenario_runs(scenario: Scenario, store: StoreName, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if scenario.needs and importlib.util.find_spec(scenario.needs) is None:
        pytest.skip(f"{scenario.needs} is not installed")
    measure = run_job if scenario.needs else carry_out  # a peer may refuse to define its classes twice in a process
    place = request.getfixturevalue("server") if store == "postgresql" else None
    outcome = measure(Job(scenario.name, store, sizes(scenario), str(tmp_path), seed=1, server=place), tmp_path)
    assert outcome.wrong == ""
    # A machine that stalls may leave an overloaded service no time to answer in time.
    assert outcome.figures[scenario.headline if scenario.name != "service-overload" else "capacity_per_s"] > 0
    assert scenario.also.format_map(outcome.figures) or not scenario.also
    in_force = {"memory": "none: in memory", "full": "synchronous=FULL", "postgresql": "synchronous_commit=on"}[store]
    assert in_force in outcome.durability or scenario.name == "flush"


@pytest.mark.parametrize("scenario", CATALOG, ids=lambda one: one.name)
def test_a_scenario_has_a_question(scenario: Scenario) -> None:
    assert "{" not in scenario.asked({})
    assert scenario.asked({}) == scenario.asked(scenario.sizes)
    assert scenario.label or scenario.subject == OURS or not scenario.beside
    assert set(scenario.quick_stores) <= set(scenario.stores)
    assert scenario.quick is None or scenario.quick.keys() == scenario.sizes.keys()
    assert {BY_NAME[name].name for name in scenario.beside} == set(scenario.beside)


def test_a_question_contains_the_sizes_of_the_run() -> None:
    assert "of 20,000 events" in BY_NAME["replay"].asked({"events": 20_000.0})
    assert "of 100,000 events" in BY_NAME["replay"].asked({})


def test_a_connection_that_flushes_less_than_the_stores_name_says_is_wrong(tmp_path: Path) -> None:
    bench = Bench("full", {}, tmp_path, tmp_path, seed=1)
    with closing(sqlite3.connect(tmp_path / "log.db")) as db:
        db.execute("PRAGMA synchronous=NORMAL")
        with pytest.raises(Wrong, match="has synchronous=NORMAL in force, expected FULL"):
            bench.require_durability(db)


def test_a_server_that_does_not_flush_is_wrong(tmp_path: Path) -> None:
    place = ServerPlace(shared_server_url(), 0, f"actorium_test_{os.getpid()}_")
    job = Job("one-caller", "postgresql", TINY, str(tmp_path), seed=1, server=place)
    assert carry_out(job, tmp_path).wrong == "the server has fsync=off: acknowledged commands may be lost"
    databases = Databases(place)
    assert asyncio.run(databases.exists("run"))
    asyncio.run(databases.drop_all())
    assert not asyncio.run(databases.exists("run"))


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(CATALOG)


def test_scenarios_are_selected_by_parts_of_their_names() -> None:
    assert [one.name for one in select(["hot", "replay"])] == ["one-hot", "ten-hot", "replay"]
    assert select([]) == list(CATALOG)


def test_an_unknown_name_is_rejected_with_the_known_names() -> None:
    with pytest.raises(UnknownScenario, match=r"no scenario name contains 'warm'; the scenarios are one-caller, "):
        select(["hot", "warm"])
