"""Nodes on one log: frames are lost, doubled and late, nodes die, freeze and are cut off, and no invariant breaks."""

from collections import Counter

import pytest
from simulation.cluster.correcting import corrected_accounts
from simulation.cluster.forgetting import customers_come_and_go
from simulation.cluster.scenarios import accounts
from simulation.cluster.shares import shares
from simulation.mutants.domain import Account

from actorium.errors import ConfigurationError
from actorium.simulation import Faults, Kind, World, simulation
from actorium.simulation.world.faults import FAMILIES

SEEDS = 25


def test_nodes_with_every_kind_of_trouble_break_no_invariant() -> None:
    happened: Counter[Kind] = Counter()
    for seed in range(SEEDS):
        outcome = accounts.run(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        happened.update(fault.kind for fault in outcome.faults)
    wanted = {Kind.FROZEN, Kind.CRASH, *FAMILIES["connection"], *FAMILIES["frame"]}
    assert wanted - set(happened) == set()


def test_no_node_can_read_what_was_forgotten_on_another() -> None:
    for seed in range(8):
        assert customers_come_and_go.run(seed).violation is None, seed


def test_a_case_is_applied_completely_on_any_nodes() -> None:
    for seed in range(8):
        assert corrected_accounts.run(seed).violation is None, seed


def test_a_share_of_the_sagas_runs_on_one_node_at_a_time_which_owns_its_shards() -> None:
    for seed in range(4):
        assert shares.run(seed).violation is None, seed


def test_without_faults_nothing_is_repeated() -> None:
    assert accounts.run(0, faults=Faults.none()).violation is None


def test_a_cluster_has_a_node() -> None:
    @simulation(seeds=1, faults=Faults.none())
    async def nobody(world: World) -> None:
        with pytest.raises(ConfigurationError, match="at least one node"):
            world.cluster([Account], nodes=0)

    assert "creates no runtime" in str(nobody.run(0).violation)
