"""Nodes with two versions of the code: what the old one does not know goes to the new one, or waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from support.nodes import Nodes, nodes
from support.versions import one, two
from support.virtual_time import virtual

from actorium import Runtime
from actorium.cluster import NewerCodeNeeded

IDS = [f"s{n}" for n in range(40)]


async def all_of(*calls: Awaitable[object]) -> None:
    await asyncio.gather(*calls)


async def put(node: Runtime, amount: int = 5) -> None:
    await all_of(*(node.send(one.Put(id, amount)) for id in IDS))


async def put_with_notes(node: Runtime, amount: int = 5) -> None:
    await all_of(*(node.send(two.Put(id, amount, "fragile")) for id in IDS))


async def take(node: Runtime, amount: int = 1) -> None:
    await all_of(*(node.send(two.Take(id, amount)) for id in IDS))


def parked(group: Nodes) -> int:
    return sum(len(node.dead_letters.list()) for node in group.running.values())


@virtual
async def test_commands_of_each_version_succeed_on_every_node_during_a_rolling_deployment() -> None:
    async with nodes("a", "b", parts=one.PARTS) as group:
        await put(group["a"])
        await group.start("c", two.PARTS)
        assert group.served("c") > 300
        assert group.runs(two.Levels) == ["c"]
        level = 5
        for _ in range(3):
            await take(group["c"])
            await put(group["a"])
            await put_with_notes(group["c"])
            await put(group["b"])
            level += 14
        for old, new in (("a", "d"), ("b", "e")):
            await group.start(new, two.PARTS)
            await group.stop(old)
            await take(group[new])
            level -= 1
        assert [(await group["d"].get(two.Stock, id)).level for id in IDS] == [level] * len(IDS)
        assert (await group["c"].get(two.Stock, "s0")).notes == 3
        ack = await group["e"].send(two.Take("s0", 1))
        assert await group["e"].query(two.Levels.total, after=ack.position) == level * len(IDS) - 1
        assert parked(group) == 0


@virtual
async def test_shards_stay_with_the_newer_code_once_it_has_them() -> None:
    async with nodes("a", "b", "c", parts=one.PARTS) as group:
        await put(group["a"])
        await group.start("d", two.PARTS)
        await take(group["d"])  # the streams of the others come to it
        served = group.served("d")
        assert served > 256
        for node in ("a", "b", "c"):
            await put(group[node])
        await group.settled()
        assert group.served("d") == served
        await group.stop("a")  # another share: most of it goes to whoever the map names
        await put(group["b"])
        assert group.served("d") >= served
        assert parked(group) == 0


@virtual
async def test_a_node_with_old_code_says_that_it_cannot_read_what_newer_code_wrote() -> None:
    async with nodes("a", "b", parts=one.PARTS) as group:
        await put(group["a"])
        await group.start("c", two.PARTS)
        await put_with_notes(group["c"])
        assert (await group["c"].get(two.Stock, "s0")).level == 10
        for old in "ab":
            with pytest.raises(
                NewerCodeNeeded, match=r"^Stock<s0> holds events of newer code \(Stocked at version 2\)"
            ):
                await group[old].get(one.Stock, "s0")


@virtual
async def test_a_node_with_old_code_says_so_whichever_way_it_reads() -> None:
    async with nodes("a", "b", parts=one.PARTS) as group:
        await put(group["a"])
        await group.start("c", two.PARTS)
        await put_with_notes(group["c"])
        await group["c"].send(two.Put("s0", 1, "caused"), causation_id="Order/o-1/1")
        old = group["a"]
        assert (await old.get(one.Stock, "s0", at_version=1)).level == 5

        async def read(found: AsyncIterator[object]) -> None:
            async for _ in found:
                pass

        reads = [
            old.get(one.Stock, "s0", at_version=2),
            read(old.history(one.Stock, "s0")),
            read(old.events(aggregate=one.Stock, id="s0")),
            read(old.events()),
        ]
        with pytest.raises(NewerCodeNeeded, match=r"holds events of newer code \(Stocked at version 3\)"):
            await read(old.causes("Order/o-1/1"))
        for one_read in reads:
            with pytest.raises(NewerCodeNeeded, match=r"holds events of newer code \(Stocked at version 2\)"):
                await one_read


@virtual
async def test_what_only_newer_code_can_read_waits_for_it() -> None:
    async with nodes("a", "b", parts=one.PARTS) as group:
        await put(group["a"])
        await group.start("c", [two.Stock])  # without the projection, which stays with the old code
        await take(group["c"])
        ack = await group["c"].send(two.Take("s1", 1))
        await group.stop("c")
        sends = [asyncio.create_task(group["a"].send(one.Put(id, 1), timeout_s=300)) for id in IDS]
        asks = asyncio.create_task(group["b"].query(one.Levels.total, after=ack.position, timeout_s=300))
        await asyncio.sleep(20)
        assert not any(task.done() for task in (*sends, asks))
        state = [node.processors[one.Levels].statistics().state for node in group.running.values()]
        assert sorted(state) == ["elsewhere", "waiting"]
        await group.start("d", two.PARTS)
        await asyncio.gather(*sends, asks)
        assert (await group["d"].get(two.Stock, "s0")).level == 5
        assert parked(group) == 0


@virtual
async def test_a_follower_runs_where_its_code_is_newest() -> None:
    async with nodes("a", "b", "c", parts=one.PARTS) as group:
        await group.start("d", two.PARTS)
        assert group.runs(two.Levels) == ["d"]
        assert group.runs(one.Levels) == []
        await group.stop("d")
        assert len(group.runs(one.Levels)) == 1


@virtual
async def test_a_follower_that_old_code_does_not_have_runs_on_the_new_nodes() -> None:
    async with nodes("a", "b", "c", parts=[one.Stock]) as group:
        await group.start("d", one.PARTS)
        assert group.runs(one.Levels) == ["d"]
        ack = await group["a"].send(one.Put("s", 7))
        assert await group["d"].query(one.Levels.total, after=ack.position) == 7


@virtual
async def test_a_command_that_newer_code_has_lost_is_refused_with_a_reason() -> None:
    from actorium import Aggregate, ConfigurationError

    class Stock(Aggregate):
        """Version 3, which has no `Take`."""

        @two.decide
        def put(self, command: two.Put) -> two.Stocked:
            return two.Stocked(command.amount, command.note)

        @two.evolve
        def stocked(self, event: two.Stocked) -> None: ...

        @two.evolve
        def taken(self, event: two.Taken) -> None: ...

        @two.decide
        def lose(self, command: Lose) -> Lost:
            return Lost()

        @two.evolve
        def lost(self, event: Lost) -> None: ...

    async with nodes("a", parts=two.PARTS) as group:
        await put_with_notes(group["a"])
        await group.start("b", [Stock])
        with pytest.raises(ConfigurationError, match="no aggregate of this node handles Take for Stock"):
            await take(group["a"])


class Lose(two.Command):
    pass


class Lost(two.Event):
    pass
