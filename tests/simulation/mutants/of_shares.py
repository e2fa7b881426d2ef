"""Mutants of the shares of the agenda: each is written by its owner alone, and the shards follow it."""

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace
from simulation.cluster.scenarios import transfers
from simulation.cluster.shares import shares
from simulation.mutants.mutant import mutant

from actorium.runtime.cluster import directory
from actorium.runtime.cluster.directory import Directory
from actorium.sagas.agenda.agenda_checkpoint import AgendaCheckpoint
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.store.shared import SHARDS, Member
from actorium.store.tables.own_rows import AgendaRemoval, TableChange
from actorium.testing.models.cluster_model import ClusterModel


def _is_of_a_share(checkpoint: SaveCheckpoint) -> bool:
    return " share " in checkpoint.follower


@mutant(transfers, since=2)
def a_fenced_node_saves_its_shares(patch: pytest.MonkeyPatch) -> None:
    """The log refuses the rows and positions of shares from a node that is fenced; here it takes them."""
    save = ClusterModel.save

    async def save_shares(
        model: ClusterModel, writer: int, checkpoints: Sequence[SaveCheckpoint]
    ) -> Mapping[int, SaveFailure]:
        if writer not in model.writers and all(map(_is_of_a_share, checkpoints)):
            return await model.log.save(checkpoints)
        return await save(model, writer, checkpoints)

    patch.setattr(ClusterModel, "save", save_shares)


@mutant(transfers, since=3)
def a_share_runs_on_every_node(patch: pytest.MonkeyPatch) -> None:
    """A share runs on the node that owns it, and the log refuses its rows from others; here it runs on all nodes."""
    save, owner, should_run = ClusterModel.save, Directory.follower_owner, Directory.should_run

    async def save_shares(
        model: ClusterModel, writer: int, checkpoints: Sequence[SaveCheckpoint]
    ) -> Mapping[int, SaveFailure]:
        owners = dict.fromkeys((one.follower for one in checkpoints if _is_of_a_share(one)), writer)
        before, model.current = model.current, model.current
        model.current = replace(before, followers={**before.followers, **owners})
        try:
            return await save(model, writer, checkpoints)
        finally:
            model.current = before

    patch.setattr(ClusterModel, "save", save_shares)
    patch.setattr(Directory, "follower_owner", lambda one, name: one.me if name in one.shares else owner(one, name))
    patch.setattr(Directory, "should_run", lambda one, name: name in one.shares or should_run(one, name))


@mutant(shares)
def a_share_is_saved_without_what_has_ended(patch: pytest.MonkeyPatch) -> None:
    """A share's position and rows are saved together; here timers that have ended stay, and fire at its next owner."""
    save_behind = AgendaCheckpoint.save_behind

    async def save_some(checkpoint: AgendaCheckpoint, position: int, changes: Sequence[TableChange]) -> None:
        if checkpoint.share is not None:
            changes = [one for one in changes if not isinstance(one, AgendaRemoval)]
        await save_behind(checkpoint, position, changes)

    patch.setattr(AgendaCheckpoint, "save_behind", save_some)


@mutant(shares)
def a_shard_does_not_follow_its_share(patch: pytest.MonkeyPatch) -> None:
    """A node that carries out a share owns its shards, so its sagas do not travel; here shards are dealt without it."""

    def dealt(nodes: Sequence[Member]) -> tuple[int, ...]:
        return tuple(nodes[shard % len(nodes)].number for shard in range(SHARDS))

    patch.setattr(directory, "_dealt", dealt)
