"""Rules of routing, fencing and hand-over that are broken on purpose: the simulator finds each."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest
from simulation.cluster.scenarios import accounts, transfers

from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.remote import RemoteCommand, RemoteCommands
from actorium.runtime.cluster.shards import shard_of
from actorium.simulation import Simulation
from actorium.simulation.world.cluster_store import SimulatedClusterStore
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.testing.models.cluster_model import ClusterModel

SEEDS = 200
"""A broken rule that survives so many seeds is not found."""

Plant = Callable[[pytest.MonkeyPatch], None]


def memory_is_trusted_without_a_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedClusterStore, "holds_lease", property(lambda store: True))


def a_fenced_node_may_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ClusterModel, "_require_named", lambda model, writer: None)


def a_repeated_command_counts_as_fresh(patch: pytest.MonkeyPatch) -> None:
    encoded = RemoteCommands._encoded

    def fresh(remote: RemoteCommands, command: RemoteCommand, replaced: int, left_s: float) -> bytes:
        if not replaced:
            return encoded(remote, command, replaced, left_s)
        envelope = command.envelope
        command.envelope = msgspec.structs.replace(envelope, fresh=True)
        try:
            return encoded(remote, command, 0, left_s)
        finally:
            command.envelope = envelope

    patch.setattr(RemoteCommands, "_encoded", fresh)


def a_node_serves_what_it_should_own_and_does_not_yet(patch: pytest.MonkeyPatch) -> None:
    def serves(directory: Directory, stream_type: str, id: str) -> bool:
        return directory._wanted()[shard_of(stream_type, id)] == directory.me

    patch.setattr(Directory, "serves", serves)


def every_node_runs_every_follower(patch: pytest.MonkeyPatch) -> None:
    async def save(
        model: ClusterModel, writer: int, checkpoints: Sequence[SaveCheckpoint]
    ) -> Mapping[int, SaveFailure]:
        model._require_named(writer)
        return await model.log.save(checkpoints)

    patch.setattr(ClusterModel, "save", save)
    patch.setattr(Directory, "follower_owner", lambda directory, name: directory.me)
    patch.setattr(Directory, "should_run", lambda directory, name: True)


BROKEN: list[tuple[Plant, Simulation]] = [
    (memory_is_trusted_without_a_lease, accounts),
    (a_fenced_node_may_write, accounts),
    (a_repeated_command_counts_as_fresh, accounts),
    (a_node_serves_what_it_should_own_and_does_not_yet, accounts),
    (every_node_runs_every_follower, transfers),
]


@pytest.mark.parametrize(("plant", "scenario"), BROKEN, ids=[plant.__name__ for plant, _ in BROKEN])
def test_a_broken_rule_is_found(plant: Plant, scenario: Simulation) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        violations = (scenario.run(seed).violation for seed in range(SEEDS))
        assert next((one for one in violations if one is not None), None) is not None
