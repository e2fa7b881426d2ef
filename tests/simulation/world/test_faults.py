"""The faults of a plan: each kind happens where it can, independently of the others."""

from collections import Counter

import pytest
from support import small_bank

from actorium.simulation import FaultId, Faults, Kind, RunOptions, run
from actorium.simulation.chance import Chance
from actorium.simulation.world.faults import FAMILIES, HOSTILE, CrashAt, FaultPlan


def test_every_kind_belongs_to_a_family() -> None:
    assert {kind for kinds in FAMILIES.values() for kind in kinds} == set(Kind)


def test_every_kind_happens_if_there_is_an_occasion() -> None:
    happened: Counter[Kind] = Counter()
    # A machine loses power only if the log is on a disk, a lease runs out only if processes share the log, and only
    # nodes and services send frames to each other; other tests cover that.
    of_shared_logs = {Kind.FROZEN, *FAMILIES["connection"], *FAMILIES["frame"]}
    of_services = {*FAMILIES["bus"], *FAMILIES["entry"]}
    wanted = set(Kind) - {Kind.POWER_CUT} - of_shared_logs - of_services - HOSTILE
    for seed in range(100):
        outcome = small_bank.everything.run(seed)
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        happened += outcome.by_kind
        if wanted <= set(happened):
            break
    assert wanted - set(happened) == set()


def test_a_process_is_killed_while_it_starts() -> None:
    faults = Faults.only(Kind.CRASH, rate=0.9)
    crashes = [fault for seed in range(6) for fault in small_bank.transfers.run(seed, faults=faults).faults]
    assert {fault.site for fault in crashes} == {"start node1", "life node1"}


@pytest.mark.parametrize("seed", range(4))
def test_the_faults_that_happened_reproduce_the_run(seed: int) -> None:
    drawn = small_bank.transfers.run(seed)
    assert drawn.faults
    assert small_bank.transfers.run(seed, only=frozenset(drawn.faults)).fingerprint() == drawn.fingerprint()


def test_a_fault_is_drawn_by_its_name_alone() -> None:
    faults = Faults.only(Kind.READ_FAILED, rate=0.3)

    def drawn(sites: list[str]) -> set[FaultId]:
        plan = FaultPlan(Chance(5), faults)
        return {fault for site in sites for _ in range(50) if (fault := plan.draw("read", site)) is not None}

    assert drawn(["one"]) == {fault for fault in drawn(["another", "one"]) if fault.site == "read one"} != set()


def test_without_a_rate_nothing_happens() -> None:
    assert small_bank.transfers.run(0, faults=Faults.none()).faults == ()


def test_a_process_can_be_killed_before_any_step_of_any_life() -> None:
    options = RunOptions(seed=0, faults=Faults.none(), crash_at=CrashAt("node1", 1, 30), reorder=False)
    outcome = run(small_bank.transfers.scenario, options)
    assert outcome.violation is None
    assert outcome.lives[0] == CrashAt("node1", 1, 30)
    assert [life.life for life in outcome.lives] == [1, 2]
