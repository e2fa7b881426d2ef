"""The SQLite store that ships, in a world whose machines lose power."""

import pytest
from support import small_bank

from actorium import ConfigurationError
from actorium.simulation import Faults, Kind, RunOptions, run

pytest.importorskip("apsw")

CUTS = Faults.only(Kind.POWER_CUT, Kind.CRASH, rate=0.01)


def test_a_power_cut_loses_nothing_acknowledged_if_each_commit_is_synced() -> None:
    cuts = 0
    for seed in range(15):
        outcome = run(small_bank.transfers.scenario, RunOptions(seed=seed, faults=CUTS, store="sqlite"))
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        cuts += outcome.by_kind[Kind.POWER_CUT]
    assert cuts > 15


def test_the_control_without_a_sync_per_commit_is_found_to_lose_acknowledged_commands() -> None:
    violations = [
        run(small_bank.transfers.scenario, RunOptions(seed=seed, faults=CUTS, store="sqlite-normal")).violation
        for seed in range(15)
    ]
    assert "nothing committed is lost" in {one.invariant for one in violations if one is not None}


def test_a_killed_process_loses_nothing_even_without_a_sync_per_commit() -> None:
    for seed in range(5):
        faults = Faults.only(Kind.CRASH, Kind.CRASH_AFTER_COMMIT, rate=0.1)
        outcome = run(small_bank.transfers.scenario, RunOptions(seed=seed, faults=faults, store="sqlite-normal"))
        assert outcome.violation is None
        assert outcome.faults


def test_a_run_on_a_disk_is_repeatable() -> None:
    options = RunOptions(seed=2, faults=Faults.all(), store="sqlite")
    assert (
        run(small_bank.transfers.scenario, options).fingerprint()
        == run(small_bank.transfers.scenario, options).fingerprint()
    )


def test_an_unknown_store_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'postgres'"):
        run(small_bank.transfers.scenario, RunOptions(seed=0, faults=Faults.none(), store="postgres"))
