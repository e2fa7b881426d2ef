"""Campaigns: many seeds, in one process or several, until enough failures are found or all seeds are done."""

import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import small_bank

from actorium import ConfigurationError
from actorium.simulation import World, simulation
from actorium.simulation.reports.verdict import judge
from actorium.simulation.search.campaign import Tally, campaign, collected_seldom
from actorium.simulation.search.place import ScenarioPlace
from actorium.simulation.world.faults import Faults

FILE = str(Path(__file__).resolve().parents[2] / "support" / "small_bank.py")


def sums(tally: Tally) -> tuple[object, ...]:
    return tally.seeds, tally.steps, tally.events, tally.operations, tally.simulated_s, tally.faults, tally.failures


def test_the_result_of_a_campaign_does_not_depend_on_the_number_of_processes() -> None:
    place = ScenarioPlace(FILE, "transfers")
    alone, together = campaign(place, seeds=30), campaign(place, seeds=30, jobs=2)
    assert sums(alone) == sums(together)
    assert alone.seeds == 30
    assert alone.failures == []
    assert sum(alone.faults.values()) > 30


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_campaign_ends_at_its_last_failure_and_counts_none_after_it(jobs: int) -> None:
    tally = campaign(ScenarioPlace(FILE, "too_rich"), seeds=60, first=7, jobs=jobs, stop_after=3)
    assert [failure.seed for failure in tally.failures] == [7, 8, 9]
    assert tally.seeds == 3


def test_a_failing_seed_is_reproducible() -> None:
    failure = campaign(small_bank.too_rich, seeds=1).failures[0]
    assert small_bank.too_rich.run(failure.seed).violation == failure.violation


def test_a_campaign_runs_its_simulations_seeds_and_reports_progress() -> None:
    seen: list[int] = []
    tally = campaign(small_bank.transfers, faults=Faults.none(), progress=lambda tally: seen.append(tally.seeds))
    assert tally.seeds == small_bank.transfers.seeds
    assert seen == list(range(1, 21))
    assert tally.faults == {}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_campaign_with_its_results_even_if_the_scenario_swallows_it(jobs: int, times: int) -> None:
    heard: list[BaseException] = []

    def press(tally: Tally) -> None:
        for _ in range(times):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                heard.append(error)

    before = signal.getsignal(signal.SIGINT)
    tally = campaign(ScenarioPlace(FILE, "transfers"), minutes=10.0, jobs=jobs, progress=press)
    assert tally.is_cut_short
    assert tally.seeds > 0
    assert len(heard) == times - 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_keyboard_interrupt_ends_a_campaign_at_once() -> None:
    def interrupted(tally: Tally) -> None:
        raise KeyboardInterrupt

    assert campaign(ScenarioPlace(FILE, "transfers"), minutes=10.0, progress=interrupted).is_cut_short


def test_a_thread_leaves_ctrl_c_to_the_main_one() -> None:
    with ThreadPoolExecutor(1) as threads:
        tally = threads.submit(campaign, ScenarioPlace(FILE, "transfers"), seeds=2).result()
    assert tally.seeds == 2


def test_an_unrepeatable_seed_is_reported() -> None:
    names = iter(["a", "b"])

    @simulation(seeds=1, faults=Faults.none())
    async def capricious(world: World) -> None:
        client = world.runtime([small_bank.Account])
        await client.send(small_bank.Open(next(names), 7))
        world.always("nobody has anything", lambda view: not any(one.balance for one in view.all(small_bank.Account)))

    verdict = judge(capricious)
    assert verdict.failure is None
    assert verdict.unrepeatable is not None
    assert verdict.unrepeatable.seed == 0
    assert not verdict.is_good


def test_ctrl_c_during_shrinking_keeps_the_failure() -> None:
    runs = 0

    @simulation(seeds=1, faults=Faults.none())
    async def poor(world: World) -> None:
        nonlocal runs
        runs += 1
        if runs == 6:  # after the search for unsteady code
            signal.raise_signal(signal.SIGINT)
        client = world.runtime([small_bank.Account])
        await client.send(small_bank.Open("a", 1))
        await client.send(small_bank.Open("b", 1))
        world.always("nobody has anything", lambda view: not view.get(small_bank.Account, "a").balance)

    verdict = judge(poor)
    assert runs == 7  # what was found by then is run once more
    assert verdict.tally.is_cut_short
    assert verdict.failure is not None
    assert not verdict.failure.shrunk.is_smallest


@pytest.mark.parametrize("bad", [{"seeds": 0}, {"seeds": -1}])
def test_a_simulation_has_at_least_one_seed(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="at least one seed"):
        simulation(**bad)  # type: ignore[call-overload]


def test_an_invalid_scenario_is_rejected_by_the_decorator() -> None:
    def plain(world: World) -> None: ...

    async def alone() -> None: ...

    async def with_a_fixture(world: World, database: str) -> None: ...

    for scenario, message in ((plain, "async def plain"), (alone, "takes \\(\\)"), (with_a_fixture, "database: str")):
        with pytest.raises(ConfigurationError, match=message):
            simulation(scenario)  # type: ignore[call-overload]


def test_several_processes_need_the_place_of_the_simulation() -> None:
    with pytest.raises(ConfigurationError, match="give its ScenarioPlace"):
        campaign(small_bank.transfers, jobs=2)


def test_a_place_names_a_simulation() -> None:
    assert ScenarioPlace(FILE, "transfers").load().name == "transfers"
    with pytest.raises(ConfigurationError, match="not a scenario marked with @simulation"):
        ScenarioPlace(FILE, "accounts").load()
    with pytest.raises(ConfigurationError, match="there is no Python file"):
        ScenarioPlace(FILE + "x.py", "transfers").load()


def test_a_campaign_leaves_the_garbage_collector_as_it_was() -> None:
    frozen = gc.get_freeze_count()
    with collected_seldom() as ran:
        assert not gc.isenabled()
        ran()
        assert gc.get_freeze_count() > frozen
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_a_process_that_froze_its_objects_keeps_what_a_campaign_froze() -> None:
    gc.freeze()
    try:
        with collected_seldom() as ran:
            ran()
            frozen = gc.get_freeze_count()
        assert gc.get_freeze_count() > frozen // 2  # without those freed since
    finally:
        gc.unfreeze()
