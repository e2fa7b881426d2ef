"""Scenarios with several services, each on a log of its own."""

import asyncio
from contextlib import suppress

from support.shop_parts import (
    ApproveOrder,
    CreditReleased,
    CreditReserved,
    Customer,
    CustomerOpened,
    OpenCustomer,
    Order,
    OrderApproved,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
    RejectOrder,
    ReleaseCredit,
    ReserveCredit,
)

from actorium import Projection, RecordedEvent, Rejected, Saga, on, query, starts, step
from actorium.services import RemoteService
from actorium.simulation import Faults, World, simulation
from actorium.simulation.record.view import View

NAMES = ("ann", "ben", "cleo")
LIMIT = 100


class FillOrder(Saga):
    customer: str = ""
    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: OrderPlaced) -> None:
        self.customer, self.amount = event.customer, event.amount

    @step
    def accept(self) -> None:
        pass

    @accept.undo
    def reject(self) -> RejectOrder:
        return RejectOrder(self.id, self.reason)

    @step(timeout_s=30.0)
    def reserve(self) -> ReserveCredit:
        return ReserveCredit(self.customer, self.id, self.amount)

    @reserve.undo
    def release(self) -> ReleaseCredit:
        return ReleaseCredit(self.customer, self.id)

    @step
    def approve(self) -> ApproveOrder:
        return ApproveOrder(self.id)


class Limits(Projection):
    """The limits of the customers, from the other service's events."""

    limits: dict[str, int] = {}

    @on
    def opened(self, event: CustomerOpened, recorded: RecordedEvent[CustomerOpened]) -> None:
        self.limits = {**self.limits, recorded.stream_id: event.limit}

    @query
    def all(self) -> dict[str, int]:
        return self.limits


def credit_is_that_of_the_orders(customers: View, orders: View) -> bool:
    """Each customer's reserved credit is that of its approved orders."""
    approved = {order.id for order in orders.all(Order) if order.status == "approved"}
    return {order for one in customers.all(Customer) for order in one.reserved} == approved


def reserves_once(customers: View) -> bool:
    """No order has reserved credit twice, whatever was sent twice."""
    reserved = [recorded.event.order for recorded in customers.events(CreditReserved)]
    return len(reserved) == len(set(reserved))


@simulation(seeds=200, faults=Faults.all(rate=0.04))
async def shop(world: World) -> None:
    """Clients place orders at one service, whose sagas reserve credit at another."""
    used = RemoteService(
        "customers", commands=[ReserveCredit, ReleaseCredit], events=[CustomerOpened, CreditReserved, CreditReleased]
    )
    followed = RemoteService("orders", events=[OrderPlaced, OrderApproved, OrderRejected])
    customers = world.service(
        "customers",
        [Customer, followed],
        accepts=[ReserveCredit, ReleaseCredit],
        publishes=[CustomerOpened, CreditReserved, CreditReleased],
    )
    orders = world.service(
        "orders", [Order, FillOrder, Limits, used], publishes=[OrderPlaced, OrderApproved, OrderRejected]
    )
    world.always(
        "no customer exceeds its limit",
        lambda view: all(sum(one.reserved.values()) <= one.limit for one in view.all(Customer)),
        of=customers,
    )
    world.always("an order reserves credit once", reserves_once, of=customers)
    world.eventually(
        "the credit is that of the approved orders",
        lambda view: credit_is_that_of_the_orders(customers.node.view, view),
        of=orders,
    )
    async with world.calm():
        for name in NAMES:
            await customers.send(OpenCustomer(name, LIMIT))

    async def client(number: int) -> None:
        for turn in range(3):
            amount = 10 + world.choose(f"amount {number} {turn}", 40)
            with suppress(Rejected):
                await orders.send(PlaceOrder(f"o-{number}-{turn}", NAMES[number % len(NAMES)], amount))

    await asyncio.gather(*map(client, range(4)))
