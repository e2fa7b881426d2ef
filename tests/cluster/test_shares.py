"""The agenda in shares: each on one node, moved when nodes come and go, and one agenda again without nodes."""

import asyncio
from collections import Counter

from support.transfers import Desk, Tell, Told
from support.virtual_time import virtual

from actorium import Runtime, Saga, starts, step
from actorium.cluster import Cluster
from actorium.sagas.agenda.agenda_checkpoint import AGENDA, share_name
from actorium.store.event_store import EventStore
from actorium.store.shared import SHARDS
from actorium.store.tables.own_rows import ReadDue
from actorium.store.tables.shares import SHARES, share_of
from actorium.testing import LoopSource
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore


class Patience(Saga):
    @starts(correlate="about")
    def told(self, event: Told) -> None: ...

    @step(until=Told, correlate="about", timeout_s=200)
    def wait(self) -> None: ...


def runtime(model: ClusterModel, name: str = "", seed: int = 0) -> Runtime:
    cluster = Cluster(node=name) if name else None
    store: EventStore = ClusterModelStore(model)
    return Runtime([Desk, Patience], store=store, cluster=cluster, source=LoopSource(seed))


async def tell(one: Runtime, first: int, last: int) -> None:
    await asyncio.gather(*(one.send(Tell(f"desk-{n}", f"p{n}")) for n in range(first, last)))


async def listed(one: Runtime, status: str) -> set[str]:
    return {saga.id async for saga in one.sagas.list(Patience, status=status)}


def owners(model: ClusterModel) -> Counter[int]:
    found = model.current.followers
    return Counter(found.get(share_name(share), 0) for share in range(SHARES))


def ids(first: int, last: int) -> set[str]:
    return {f"p{n}" for n in range(first, last)}


@virtual
async def test_shares_are_even_and_belong_to_the_owners_of_their_shards() -> None:
    model = ClusterModel(asyncio.get_running_loop().time)
    a, b, c = (runtime(model, name, seed) for seed, name in enumerate("abc"))
    async with a:
        await asyncio.sleep(10)
        assert set(owners(model).values()) == {16}
        async with b:
            await asyncio.sleep(10)
            assert set(owners(model).values()) == {8}
            placement = model.current
            of_shards = {shard * SHARES // SHARDS: owner for shard, owner in enumerate(placement.shards)}
            assert all(placement.followers[share_name(share)] == of_shards[share] for share in range(SHARES))
            async with c:
                await asyncio.sleep(10)
                assert sorted(owners(model).values()) == [5, 5, 6]
        await asyncio.sleep(10)
        assert set(owners(model).values()) == {16}


@virtual
async def test_a_log_goes_from_one_agenda_to_shares_and_back() -> None:
    model = ClusterModel(asyncio.get_running_loop().time)
    async with runtime(model) as single:
        await tell(single, 0, 30)
        await asyncio.sleep(2)
    began = await model.log.load_checkpoint(AGENDA)
    assert began >= 60
    async with runtime(model, "a", 1) as a, runtime(model, "b", 2) as b:
        await asyncio.sleep(10)
        await tell(a, 30, 60)
        await tell(b, 0, 10)  # these need wait no longer
        await asyncio.sleep(5)
        for node in (a, b):
            assert await listed(node, "completed") == ids(0, 10)
            assert await listed(node, "running") == ids(10, 60)
        async with runtime(model, "c", 3) as c:
            await asyncio.sleep(190)
            assert await listed(c, "undone") == ids(10, 30)
        await tell(a, 30, 31)
        await asyncio.sleep(8)
    passed = [await model.log.load_checkpoint(share_name(share)) for share in range(SHARES)]
    assert min(passed) >= began
    assert await model.log.load_checkpoint(AGENDA) == began
    async with runtime(model, seed=4) as single:
        assert await listed(single, "running") | await listed(single, "undone") == ids(10, 30) | ids(31, 60)
        await tell(single, 60, 61)
        await asyncio.sleep(300)
        assert await listed(single, "undone") == ids(10, 30) | ids(31, 61)
        assert await listed(single, "completed") == ids(0, 10) | {"p30"}
        assert await single.store.read_rows(ReadDue(2**62, 100)) == []


@virtual
async def test_a_share_that_is_reset_reads_the_log_again_and_the_others_keep_their_rows() -> None:
    model = ClusterModel(asyncio.get_running_loop().time)
    async with runtime(model, "a", 1) as a:
        await asyncio.sleep(5)
        await tell(a, 0, 40)
        await asyncio.sleep(2)
        before = await model.log.read_rows(ReadDue(2**62, 100))
        share = share_of("Patience", "p7")
        agenda = next(one for one in a.processors.values() if one.plain_name == f"agenda share {share}")
        await agenda.reset()
        left = await model.log.read_rows(ReadDue(2**62, 100))
        assert left == [row for row in before if share_of(row.owner, row.id) != share]
        await asyncio.sleep(7)
        assert await listed(a, "running") == ids(0, 40)
        assert await model.log.read_rows(ReadDue(2**62, 100)) == before
        await asyncio.sleep(300)
        assert await listed(a, "undone") == ids(0, 40)
