"""An inbox with `start="now"` begins where its service found the end of the stream before it served anything.

The first start is repeated for each of its commits, and the process dies there. What is published after a start has
returned is taken in; what was published before, is not.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from zlib import crc32

import pytest
from structlog.testing import capture_logs
from support.first_starts import DyingNode, SlowSaves, until_death
from support.shop_parts import Customer, CustomerOpened, OpenCustomer, Order
from support.stores import whole_log
from support.virtual_time import run_virtual

from actorium import EventStore, Runtime
from actorium.cluster import Cluster
from actorium.errors import CommitUnknown, RuntimeClosed, ServiceUnavailable, StoreInUse
from actorium.runtime.bus.bus import StreamEnds
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.services import RemoteService, Service
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource
from actorium.testing import LoopSource
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore

BEGINS_AFTER = "inbox customers begins after"


class AwayBus(MemoryBus):
    """A bus whose streams cannot be read, while it is told to be away."""

    away = False

    async def ends(self, stream: str) -> StreamEnds:
        if self.away:
            raise ServiceUnavailable("the bus is away")
        return await super().ends(stream)


class Town:
    """A service of customers, and another one that follows it from now on."""

    def __init__(self) -> None:
        self._name = name = SystemSource().new_id()
        self._customers = Runtime(
            [Customer],
            store=MemoryStore(),
            service=Service("customers", bus=MemoryBus(name), publishes=[CustomerOpened]),
        )
        self.published = {"earlier"}

    async def __aenter__(self) -> "Town":
        await self._customers.start()
        await self._customers.send(OpenCustomer("earlier", 1))
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._customers.stop()

    def bus(self) -> "AwayBus":
        """Return a connection to the bus."""
        return AwayBus(self._name)

    def orders(self, store: EventStore, bus: MemoryBus | None = None, **options: Any) -> Runtime:
        """Return a process of the service that follows the customers."""
        remote = RemoteService("customers", events=[CustomerOpened], start="now")
        return Runtime([Order, remote], store=store, service=Service("orders", bus=bus or self.bus()), **options)

    def node(self, name: str, store: EventStore, bus: MemoryBus | None = None) -> Runtime:
        """Return a node of that service."""
        return self.orders(store, bus, cluster=Cluster(node=name), source=LoopSource(crc32(name.encode())))

    async def publish(self, id: str) -> None:
        """Publish one event."""
        self.published.add(id)
        await self._customers.send(OpenCustomer(id, 1))
        await asyncio.sleep(0.7)

    async def live(self, runtime: Runtime, name: str = "") -> None:
        """Start a process; publish events once it says that it serves."""
        await runtime.start()
        for number in range(2):
            await self.publish(f"{name}{number}")


async def taken_in(store: EventStore) -> set[str]:
    """Return the ids of the customers whose events are in a log."""
    return {one.stream.id for one in await whole_log(store) if one.stream.type == "customers"}


async def die_and_take_in_again(at: int, *, after: bool) -> int:
    """Die at a commit of the first start; check what the second takes in; return the first's commits."""
    log = MemoryStore()
    async with Town() as town:
        store = SlowSaves(log, at, after=after)
        runtime = town.orders(store)

        async def live() -> None:
            async with runtime:
                for id in ("one", "two"):
                    await town.publish(id)
                await asyncio.sleep(2)

        await until_death(store, runtime, live())
        async with town.orders(log):
            await asyncio.sleep(10)
            found = await taken_in(log)
        assert found == town.published - {"earlier"}
    return store.commits


def test_a_crash_at_any_commit_of_the_first_start_loses_no_event_of_another_service() -> None:
    at_every_commit(die_and_take_in_again, 3)


async def die_as_a_node(at: int, *, after: bool, together: bool) -> int:
    """Do the same to a node; another one starts after it, or at the same time."""
    async with Town() as town:
        model = ClusterModel(asyncio.get_running_loop().time)
        store = DyingNode(model, at, after=after)
        dying, other = town.node("dying", store), town.node("other", ClusterModelStore(model))

        async def live_until_death() -> None:
            with suppress(StoreInUse, CommitUnknown, RuntimeClosed):
                await town.live(dying, "dying")
            await dying.stop()

        if together:
            await asyncio.gather(live_until_death(), town.live(other, "other"))
        else:
            await live_until_death()
            await town.live(other, "other")
        await asyncio.sleep(8)
        found = await taken_in(other.store)
        await other.stop()
        assert found == town.published - {"earlier"}
    return store.commits


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "two at once"])
def test_a_crash_of_a_node_at_any_commit_of_the_first_start_loses_no_event(together: bool) -> None:
    at_every_commit(lambda at, after: die_as_a_node(at, after=after, together=together), 6)


def at_every_commit(die: Callable[..., Coroutine[Any, Any, int]], at_least: int) -> None:
    commits = run_virtual(die(0, after=False))
    assert commits >= at_least
    for at in range(1, commits + 1):
        for after in (False, True):
            run_virtual(die(at, after=after))


def test_a_node_that_starts_later_does_not_move_where_the_inbox_begins() -> None:
    async def use() -> None:
        async with Town() as town:
            model = ClusterModel(asyncio.get_running_loop().time)
            first, second = town.node("first", ClusterModelStore(model)), town.node("second", ClusterModelStore(model))
            await town.live(first, "first")
            begins_after = await first.store.load_checkpoint(BEGINS_AFTER)
            await town.live(second, "second")
            await first.stop()
            await asyncio.sleep(10)
            assert await second.store.load_checkpoint(BEGINS_AFTER) == begins_after == 1 + 1
            assert await taken_in(second.store) == town.published - {"earlier"}
            await second.stop()

    run_virtual(use())


@pytest.mark.parametrize("is_node", [False, True], ids=["alone", "node"])
def test_a_service_starts_without_the_bus_and_says_that_its_inbox_begins_later(is_node: bool) -> None:
    async def use() -> list[Any]:
        async with Town() as town:
            bus, model = town.bus(), ClusterModel(asyncio.get_running_loop().time)
            bus.away = True
            runtime = town.node("node", ClusterModelStore(model), bus) if is_node else town.orders(MemoryStore(), bus)
            with capture_logs() as lines:
                await runtime.start()
            await town.publish("left out")
            bus.away = False
            await asyncio.sleep(10)
            await town.publish("taken in")
            await asyncio.sleep(2)
            assert await taken_in(runtime.store) == {"taken in"}
            await runtime.stop()
            return lines

    (warned,) = [line for line in run_virtual(use()) if line["event"] == "inbox_begins_late"]
    assert (warned["inbox"], warned["reason"]) == ("inbox customers", "ServiceUnavailable: the bus is away")


def test_a_node_does_not_wait_without_end_for_one_that_cannot_store_where_the_inbox_begins() -> None:
    async def use() -> list[Any]:
        async with Town() as town:
            bus, model = town.bus(), ClusterModel(asyncio.get_running_loop().time)
            bus.away = True
            cut_off, other = (
                town.node("first", ClusterModelStore(model), bus),
                town.node("second", ClusterModelStore(model)),
            )
            await cut_off.start()
            await asyncio.sleep(5)
            with capture_logs() as lines:
                await other.start()
            await other.stop()
            await cut_off.stop()
            return lines

    (warned,) = [line for line in run_virtual(use()) if line["event"] == "inbox_begins_late"]
    assert warned["reason"] == "another node has the inbox and has not stored where it begins"
