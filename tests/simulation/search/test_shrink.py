"""Shrinking: a failing run is reduced to what it takes to fail."""

import asyncio

import pytest
from support import small_bank
from support.small_scenarios import Add, Sum

from actorium.simulation import Faults, Kind, World, simulation
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.search.run import Outcome
from actorium.simulation.search.shrink import Shrunk, shrink
from actorium.simulation.world.faults import FaultId


def sent(outcome: Outcome) -> list[str]:
    return [one.name for one in outcome.operations if not one.left_out]


def first_failure_of(simulation: object) -> Outcome:
    return next(outcome for seed in range(200) if (outcome := simulation.run(seed)).violation is not None)  # type: ignore[attr-defined]


def test_irrelevant_commands_and_all_faults_are_left_out() -> None:
    failed = first_failure_of(small_bank.too_rich)
    shrunk = shrink(small_bank.too_rich.scenario, failed)
    assert shrunk.is_smallest
    assert len(sent(shrunk.outcome)) == 4  # an account is opened, and gets three deposits
    assert shrunk.outcome.faults == ()
    assert not shrunk.options.reorder
    assert not shrunk.options.faults.vary_settings


def test_a_necessary_fault_is_kept() -> None:
    shrunk = shrink(small_bank.never_restarted.scenario, first_failure_of(small_bank.never_restarted))
    assert len(shrunk.outcome.faults) == 1
    assert len(sent(shrunk.outcome)) <= 1


def test_a_fault_is_tried_at_an_earlier_place() -> None:
    failures = (small_bank.never_restarted_late.run(seed) for seed in range(200))
    failed = next(one for one in failures if one.violation is not None and len(sent(one)) > 5)
    shrunk = shrink(small_bank.never_restarted_late.scenario, failed)
    assert sent(shrunk.outcome) == ["Open a0", "Deposit a0"]
    assert [(fault.site, fault.occurrence) for fault in shrunk.outcome.faults] == [("commit Account<a0>", 1)]


def test_a_fault_moves_to_an_earlier_occasion_when_commands_are_left_out() -> None:
    @simulation(seeds=1, faults=Faults.none())
    async def conflicts(world: World) -> None:
        sums = world.runtime([Sum])
        world.eventually("the log takes everything at once", lambda view: not any(_conflicts(world)), within_s=60)
        for number in range(6):
            await sums.send(Add("a", number))

    sixth = conflicts.run(0, only=frozenset([FaultId(Kind.CONFLICT, "commit Sum<a>", 6)]))
    shrunk = shrink(conflicts.scenario, sixth)
    assert sent(shrunk.outcome) == ["Add a"]
    assert [(fault.site, fault.occurrence) for fault in shrunk.outcome.faults] == [("commit Sum<a>", 1)]
    assert shrunk.runs < 20


def _conflicts(world: World) -> list[FaultId]:
    return [fault for fault in world.plan.happened if fault.kind is Kind.CONFLICT]


def test_another_invariant_that_breaks_earlier_is_ignored() -> None:
    failed = small_bank.guarded.run(0)
    shrunk = shrink(small_bank.guarded.scenario, failed)
    assert sent(shrunk.outcome) == ["Open a0", "Deposit a0", "Deposit a0 #2"]
    assert shrunk.outcome.violation is not None
    assert shrunk.outcome.violation.invariant == "no two deposits"
    passed_over = [line.text for line in shrunk.outcome.trace if line.mark is TraceMark.PASSED_OVER]
    assert passed_over == ["no deposit is too early: does not hold either; ignored"]


def test_another_error_is_another_failure() -> None:
    """Without its account a deposit is rejected: the scenario fails too, but for another reason."""
    failed = first_failure_of(small_bank.never_restarted_late)
    shrunk = shrink(small_bank.never_restarted_late.scenario, failed)
    assert shrunk.outcome.violation is not None
    assert "AssertionError: it was restarted" in shrunk.outcome.violation.actual


def test_the_shrunk_run_fails_again_in_the_same_way() -> None:
    failed = first_failure_of(small_bank.too_rich)
    shrunk = shrink(small_bank.too_rich.scenario, failed)
    again = small_bank.too_rich.run(
        **{name: getattr(shrunk.options, name) for name in shrunk.options.__struct_fields__}
    )
    assert again.fingerprint() == shrunk.outcome.fingerprint()
    assert failed.violation is not None
    assert again.violation is not None
    assert again.violation.invariant == failed.violation.invariant


@pytest.mark.parametrize("limit", [{"runs_max": 3}, {"within_s": 0.0}])
def test_shrinking_ends_when_runs_or_time_are_used_up(limit: dict[str, int]) -> None:
    shrunk: Shrunk = shrink(small_bank.too_rich.scenario, first_failure_of(small_bank.too_rich), **limit)
    assert not shrunk.is_smallest
    assert shrunk.runs <= 3
    assert shrunk.outcome.violation is not None


def test_a_run_that_never_ends_is_shrunk_in_shorter_runs() -> None:
    @simulation(seeds=1, steps_max=50_000)
    async def spins_after_a_restart(world: World) -> None:
        sums = world.runtime([Sum])
        for number in range(5):
            await sums.send(Add("a", number))
        while len(world.nodes[0].lives) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)

    failed = first_failure_of(spins_after_a_restart)
    assert failed.steps > 50_000
    shrunk = shrink(spins_after_a_restart.scenario, failed)
    assert len(shrunk.outcome.faults) == 1
    assert shrunk.outcome.steps < 20_000


def test_a_passing_run_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="cannot be shrunk"):
        shrink(small_bank.transfers.scenario, small_bank.transfers.run(0))
