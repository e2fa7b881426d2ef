"""Shrinking: what is left of a failing run is what it takes to fail."""

import pytest
from support import small_bank

from actorium.simulation.run import Outcome
from actorium.simulation.shrink import Shrunk, shrink


def sent(outcome: Outcome) -> list[str]:
    return [one.name for one in outcome.operations if not one.left_out]


def first_failure_of(simulation: object) -> Outcome:
    return next(outcome for seed in range(200) if (outcome := simulation.run(seed)).violation is not None)  # type: ignore[attr-defined]


def test_commands_that_have_no_part_in_it_are_left_out_and_so_are_all_faults() -> None:
    failed = first_failure_of(small_bank.too_rich)
    shrunk = shrink(small_bank.too_rich.scenario, failed)
    assert shrunk.is_smallest
    assert len(sent(shrunk.outcome)) == 4  # an account is opened, and gets three deposits
    assert shrunk.outcome.faults == ()
    assert not shrunk.wish.reorder
    assert not shrunk.wish.faults.vary_settings


def test_one_fault_is_left_where_one_is_needed() -> None:
    shrunk = shrink(small_bank.never_restarted.scenario, first_failure_of(small_bank.never_restarted))
    assert len(shrunk.outcome.faults) == 1
    assert len(sent(shrunk.outcome)) <= 1


def test_the_shrunk_run_fails_again_in_the_same_way() -> None:
    failed = first_failure_of(small_bank.too_rich)
    shrunk = shrink(small_bank.too_rich.scenario, failed)
    again = small_bank.too_rich.run(**{name: getattr(shrunk.wish, name) for name in shrunk.wish.__struct_fields__})
    assert again.fingerprint() == shrunk.outcome.fingerprint()
    assert failed.violation is not None
    assert again.violation is not None
    assert again.violation.invariant == failed.violation.invariant


@pytest.mark.parametrize("limit", [{"runs_max": 3}, {"within_s": 0.0}])
def test_shrinking_ends_where_runs_or_time_give_out(limit: dict[str, int]) -> None:
    shrunk: Shrunk = shrink(small_bank.too_rich.scenario, first_failure_of(small_bank.too_rich), **limit)
    assert not shrunk.is_smallest
    assert shrunk.runs <= 3
    assert shrunk.outcome.violation is not None


def test_there_is_nothing_to_shrink_in_a_run_that_holds() -> None:
    with pytest.raises(ValueError, match="nothing to shrink"):
        shrink(small_bank.transfers.scenario, small_bank.transfers.run(0))
