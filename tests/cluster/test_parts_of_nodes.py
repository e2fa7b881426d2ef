"""Nodes with services and schedules: each runs on one node at a time, and any node takes commands in."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime

from support.bank import Add, Tally
from support.nodes import nodes
from support.shop_parts import (
    ApproveOrder,
    CreditReserved,
    Customer,
    CustomerOpened,
    OpenCustomer,
    Order,
    OrderPlaced,
    PlaceOrder,
    ReleaseCredit,
    ReserveCredit,
    customers,
)
from support.two_services import new_bus
from support.virtual_time import virtual

from actorium import Command, Projection, RecordedEvent, Saga, on, query, starts, step
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.schedules import Schedule
from actorium.services import Service

CUSTOMERS = customers()
ACCEPTED = [OpenCustomer, ReserveCredit, ReleaseCredit]


class FillOrder(Saga):
    customer: str = ""
    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: OrderPlaced, recorded: RecordedEvent[OrderPlaced]) -> None:
        self.customer, self.amount = event.customer, event.amount

    @step
    def reserve(self) -> ReserveCredit:
        return ReserveCredit(self.customer, self.id, self.amount)

    @reserve.undo
    def release(self) -> ReleaseCredit:
        return ReleaseCredit(self.customer, self.id)

    @step
    def approve(self) -> ApproveOrder:
        return ApproveOrder(self.id)


class Reserved(Projection):
    """What customers reserved, by order, as the orders service heard."""

    orders: dict[str, int] = {}

    @on
    def reserved(self, event: CreditReserved) -> None:
        self.orders[event.order] = self.orders.get(event.order, 0) + 1

    @query
    async def all(self) -> dict[str, int]:
        return self.orders


@virtual
async def test_two_services_of_two_nodes_each_work_together_while_nodes_come_and_go() -> None:
    bus = new_bus()
    keeper = MemoryBus(bus.partition("://")[2])  # keeps the streams while buses come and go

    def home() -> Service:
        return Service("customers", bus=bus, accepts=ACCEPTED, publishes=[CustomerOpened, CreditReserved])

    def shop() -> Service:
        return Service("orders", bus=bus)

    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(nodes("a", "b", parts=[Customer], service=home))
        parts = [Order, FillOrder, Reserved, CUSTOMERS]
        here = await stack.enter_async_context(nodes("c", "d", parts=parts, service=shop))
        assert len(here.runs(CUSTOMERS)) == 1
        await asyncio.gather(*(there["a"].send(OpenCustomer(f"c{n}", 1_000)) for n in range(7)))

        async def place(first: int, count: int = 40) -> None:
            orders = [PlaceOrder(f"o{n}", f"c{n % 7}", 5) for n in range(first, first + count)]
            runtimes = [*here.running.values()]
            await asyncio.gather(*(runtimes[n % len(runtimes)].send(order) for n, order in enumerate(orders)))

        placing = asyncio.create_task(place(0))
        await there.stop("a")
        await there.start("e")
        await placing
        placing = asyncio.create_task(place(40))
        (runs,) = here.runs(CUSTOMERS)
        await here.stop(runs)
        await here.start("f")
        await placing
        await place(80)
        await asyncio.sleep(60)
        node, home_node = next(iter(here.running.values())), there["e"]
        assert [(await node.get(Order, f"o{n}")).status for n in range(120)] == ["approved"] * 120
        reserved = [(await home_node.get(Customer, f"c{n}")).reserved for n in range(7)]
        assert sorted(order for one in reserved for order in one) == sorted(f"o{n}" for n in range(120))
        for one in here.running.values():
            heard = await one.query(Reserved.all)
            assert set(heard.values()) == {1}
            assert len(heard) == 120
            assert not one.dead_letters.list()
    assert keeper


@virtual
async def test_a_schedule_fires_once_on_any_number_of_nodes() -> None:
    dues: list[datetime] = []

    def noted(due: datetime) -> Command:
        dues.append(due)
        return Add("t")

    schedule = Schedule("often", noted, every_s=10)
    async with nodes("a", "b", "c", parts=[Tally, schedule]) as group:
        for name in "abc":
            await asyncio.sleep(60)
            await group.stop(name)
            await group.start(name * 2)
        begun = len(dues)
        assert begun == len(set(dues)) >= 17
        assert await group["bb"].schedules.pause(schedule, reason="a holiday")
        await asyncio.sleep(60)
        assert len(dues) == begun
        assert await group["cc"].schedules.resume(schedule, reason="over")
        await asyncio.sleep(60)
        assert begun + 5 <= len(dues) == len(set(dues))
        assert (await group["aa"].get(Tally, "t")).count == len(dues)
