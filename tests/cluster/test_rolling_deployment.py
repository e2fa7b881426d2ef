"""The shop is deployed from version 1 to version 2 while orders are placed; each node is a process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from support.postgres import new_log
from support.versions.shop import NewCustomer, NewOrder, RaiseLimit, customers_node, orders_node
from support.versions.shop_process import ShopProcess

from actorium import Runtime
from actorium.examples.shop.messages import OpenCustomer, PlaceOrder
from actorium.examples.shop.shipping import shipping
from actorium.services import Client, RemoteService
from actorium.testing.nats_server import own_nats_server

CUSTOMERS = [f"c{n}" for n in range(20)]
CALLERS = 4
TEST_S = 300  # ten nodes start and stop


class Deployment:
    """The nodes of one service, first two of version 1."""

    def __init__(self, service: str, store: str, bus: str) -> None:
        self._service, self._store, self._bus = service, store, bus
        self._running: list[ShopProcess] = []
        self.parked = 0

    async def add(self, version: int, name: str) -> None:
        """Start a node."""
        node = ShopProcess(self._service, version, name, self._store, self._bus)
        self._running.append(node)
        await node.start()

    async def remove(self) -> None:
        """Stop the oldest node."""
        self.parked += await self._running.pop(0).stop()

    async def deploy(self) -> None:
        """Replace the nodes one after the other."""
        for name in ("c", "d"):
            await self.add(2, name)
            await self.remove()

    async def close(self) -> None:
        """End what still runs."""
        for node in self._running:
            await node.kill()


@asynccontextmanager
async def two_nodes(service: str, store: str, bus: str) -> AsyncIterator[Deployment]:
    deployment = Deployment(service, store, bus)
    try:
        await asyncio.gather(*(deployment.add(1, name) for name in ("a", "b")))
        yield deployment
    finally:
        await deployment.close()


class Load:
    """Customers who place orders until they are told to stop; an error ends the test."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.placed = 0
        self.worst_s = 0.0
        self.is_over = False

    async def run(self) -> None:
        time = asyncio.get_running_loop().time
        while not self.is_over:
            number, self.placed = self.placed, self.placed + 1
            begun = time()
            await self._client.send(PlaceOrder(f"o{number}", CUSTOMERS[number % len(CUSTOMERS)], 5, "Praha"))
            self.worst_s = max(self.worst_s, time() - begun)


@pytest.fixture
def logs() -> Iterator[tuple[str, str]]:
    """The URLs of two new logs; their leases are so long that a busy machine lets none run out."""
    with new_log(lease_s="30") as home, new_log(lease_s="30") as desk:
        yield home, desk


@pytest.mark.asyncio
async def test_a_rolling_deployment_of_the_shop_fails_no_command_and_parks_nothing(logs: tuple[str, str]) -> None:
    home, desk = logs
    web = [
        RemoteService("customers", commands=[OpenCustomer, RaiseLimit]),
        RemoteService("orders", commands=[PlaceOrder]),
    ]
    with own_nats_server() as server:
        bus = server.url(fsync="yes")
        async with (
            asyncio.timeout(TEST_S),
            shipping(bus, "memory://"),
            two_nodes("customers", home, bus) as customers,
            two_nodes("orders", desk, bus) as orders,
            Client(bus, web, name="web") as client,
        ):
            await asyncio.gather(*(client.send(OpenCustomer(id, 1_000_000)) for id in CUSTOMERS))
            load = Load(client)
            callers = [asyncio.create_task(load.run()) for _ in range(CALLERS)]
            await customers.deploy()
            await asyncio.gather(*(client.send(RaiseLimit(id, 2_000_000)) for id in CUSTOMERS))
            await orders.deploy()
            load.is_over = True
            await asyncio.gather(*callers)
            print(f"{load.placed} orders, the slowest took {load.worst_s:.2f} s")
            async with orders_node(2, "e", desk, bus) as reader, customers_node(2, "e", home, bus) as other:
                await check(reader, other, load.placed)
                assert [*reader.dead_letters.list(), *other.dead_letters.list()] == []
            await asyncio.gather(*(deployment.remove() for deployment in (customers, orders) for _ in range(2)))
            assert customers.parked == orders.parked == 0


async def check(desk: Runtime, home: Runtime, placed: int) -> None:
    """Wait until every order is approved; its credit is reserved once."""
    ids = {f"o{number}" for number in range(placed)}
    orders = []
    for id in ids:
        while (order := await desk.get(NewOrder, id)).status != "approved":  # noqa: ASYNC110  (other tasks)
            await asyncio.sleep(0.1)
        orders.append(order)
    states = [await home.get(NewCustomer, id) for id in CUSTOMERS]
    assert {order for one in states for order in one.reserved} == ids
    assert sum(len(one.reserved) for one in states) == placed
    assert {one.limit for one in states} == {2_000_000}
    assert 0 < sum(one.checked for one in states) < placed  # both versions have taken part
    assert 0 < sum(order.audited for order in orders) < placed
