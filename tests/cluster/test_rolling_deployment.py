"""The shop is deployed from version 1 to version 2, node by node, on real servers, while orders are placed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from support.nats_server import over_nats
from support.postgres import new_log
from support.versions.shop import NewCustomer, NewOrder, RaiseLimit, customers_node, orders_node

from actorium import Runtime
from actorium.examples.shop.messages import OpenCustomer, PlaceOrder
from actorium.examples.shop.shipping import shipping
from actorium.services import Client, RemoteService
from actorium.testing.nats_server import own_nats_server

CUSTOMERS = [f"c{n}" for n in range(20)]
CALLERS = 4
Make = Callable[[int, str, str, str], Runtime]


@asynccontextmanager
async def two_nodes(make: Make, store: str, bus: str) -> AsyncIterator[list[Runtime]]:
    """The nodes of a service, first two of version 1; those that still run in the end are stopped."""
    running = [make(1, name, store, bus) for name in ("a", "b")]
    try:
        for node in running:
            await node.start()
        yield running
    finally:
        for node in running:
            await node.stop()


async def deploy(running: list[Runtime], make: Make, store: str, bus: str) -> None:
    """Replace the nodes of a service one after the other."""
    for name in ("c", "d"):
        running.append(make(2, name, store, bus))
        await running[-1].start()
        assert running[0].dead_letters.list() == []
        await running.pop(0).stop()


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


@over_nats
async def test_a_rolling_deployment_of_the_shop_fails_no_command_and_parks_nothing(logs: tuple[str, str]) -> None:
    home, desk = logs
    web = [
        RemoteService("customers", commands=[OpenCustomer, RaiseLimit]),
        RemoteService("orders", commands=[PlaceOrder]),
    ]
    with own_nats_server() as server:
        bus = server.url(fsync="yes")
        async with (
            shipping(bus, "memory://"),
            two_nodes(customers_node, home, bus) as customers,
            two_nodes(orders_node, desk, bus) as orders,
            Client(bus, web, name="web") as client,
        ):
            await asyncio.gather(*(client.send(OpenCustomer(id, 1_000_000)) for id in CUSTOMERS))
            load = Load(client)
            callers = [asyncio.create_task(load.run()) for _ in range(CALLERS)]
            await deploy(customers, customers_node, home, bus)
            await asyncio.gather(*(client.send(RaiseLimit(id, 2_000_000)) for id in CUSTOMERS))
            await deploy(orders, orders_node, desk, bus)
            load.is_over = True
            await asyncio.gather(*callers)
            print(f"{load.placed} orders, the slowest took {load.worst_s:.2f} s")
            await check(orders[0], customers[0], load.placed)
            assert [node.dead_letters.list() for node in (*customers, *orders)] == [[]] * 4


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
