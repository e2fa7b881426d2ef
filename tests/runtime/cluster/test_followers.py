"""Followers of the log on a node: what becomes of a save when its node loses the log."""

import asyncio
import gc
from collections.abc import Mapping, Sequence

from support.transfers import Account, Ask, Desk, Transfer, open_accounts
from support.virtual_time import virtual

from actorium import Runtime
from actorium.cluster import Cluster
from actorium.errors import Fenced
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.testing import LoopSource
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore


class SlowSaves(ClusterModelStore):
    """Saves take seconds."""

    saving = ""

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        self.saving = ", ".join(one.name for one in checkpoints)
        try:
            await asyncio.sleep(5)
            return await super().save(checkpoints)
        finally:
            self.saving = ""


@virtual
async def test_a_save_that_fails_after_its_follower_stopped_fails_unseen() -> None:
    model = ClusterModel(asyncio.get_running_loop().time)
    store = SlowSaves(model)
    runtime = Runtime([Account, Desk, Transfer], store=store, cluster=Cluster(node="a"), source=LoopSource(1))
    await runtime.start()
    await open_accounts(runtime, ann=10, bob=0)
    await runtime.send(Ask("d", "ann", "bob", 7))
    while "share" not in store.saving:  # noqa: ASYNC110  (the followers save on their own)
        await asyncio.sleep(0.1)
    writer = store.writer
    assert writer is not None
    model.end_session(writer)
    model._remove(writer)
    assert isinstance(await runtime.ended(), Fenced)
    assert not store.saving
    gc.collect()  # what nobody saw is reported when it is deleted
