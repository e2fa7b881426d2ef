"""Scenarios with several services, each on a log of its own."""

import asyncio
from contextlib import suppress

import msgspec
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

from actorium import Command, NotFound, Projection, RecordedEvent, Rejected, Saga, on, query, starts, step
from actorium.errors import ConfigurationError, InvalidCommand, NotAllowed
from actorium.services import RemoteService
from actorium.simulation import Faults, Kind, World, simulation
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


class Open(Command):
    """The command of a till that was never deployed again: its limit is a text."""

    command_type = "OpenCustomer"

    limit: str


class Release(Command):
    """A newer form of a command, with a field that the other service does not know and does not need."""

    command_type = "ReleaseCredit"

    order: str
    reason: str = ""


TROUBLED = Faults.all(rate=0.03)
TROUBLED = msgspec.structs.replace(
    TROUBLED,
    rates={**TROUBLED.rates, Kind.FRAME_LATE: 0.15, Kind.FRAME_DOUBLED: 0.15, Kind.FRAME_LOST: 0.05},
)


@simulation(seeds=200, faults=TROUBLED)
async def commands(world: World) -> None:
    """Three services send each other commands, more than they have room for; some are refused, some not accepted."""
    known = [CustomerOpened, CreditReserved, CreditReleased]
    used = RemoteService(
        "customers", commands=[OpenCustomer, ReserveCredit, ReleaseCredit], events=known, max_unanswered=3
    )
    seen_by_till = RemoteService("customers", commands=[Open, ReserveCredit, Release], events=[CreditReleased])
    placed = RemoteService("orders", commands=[PlaceOrder, RejectOrder], events=[OrderPlaced, OrderRejected])
    customers = world.service(
        "customers",
        [Customer, placed],
        accepts={OpenCustomer: ["orders", "till"], ReserveCredit: ["orders"], ReleaseCredit: ["orders", "till"]},
        publishes=known,
        max_in_flight=1,
        rate_limit={"till": 2.0},
    )
    orders = world.service(
        "orders", [Order, used], accepts=[PlaceOrder, RejectOrder], publishes=[OrderPlaced, OrderRejected]
    )
    world.always(
        "what is not accepted has no effect",
        lambda view: not any(one.event.order.startswith("till") for one in view.events(CreditReserved)),
        of=customers,
    )
    async with world.calm():
        for name in NAMES[:2]:
            await orders.send(OpenCustomer(name, 20))
    till = world.service("till", [Order, seen_by_till])  # its first messages can be lost, so it meets the others late

    async def client(number: int) -> None:
        for turn in range(6):
            name, timeout_s = NAMES[(number + turn // 3) % 2], (2.0, 10.0, 30.0)[turn % 3]
            order = f"o-{world.choose(f'order {number} {turn}', 4)}"
            with suppress(Rejected):
                if (number + turn) % 2:
                    await orders.send(ReleaseCredit(name, order), timeout_s=timeout_s)
                else:
                    await orders.send(ReserveCredit(name, order, 15), timeout_s=timeout_s)
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 40) / 10)

    async def cashier() -> None:
        for turn in range(4):
            with suppress(NotAllowed, ConfigurationError):
                await till.send(ReserveCredit(NAMES[turn % 2], f"till-{turn}", 1))
            with suppress(InvalidCommand, ConfigurationError):
                await till.send(Open(f"till-{turn}", "much"))
            await till.send(Release(NAMES[turn % 2], f"o-{turn}", "returned"))

    async def buyer(number: int) -> None:
        for turn in range(3):
            with suppress(Rejected, NotFound):
                await customers.send(PlaceOrder(f"p-{number}-{turn}", NAMES[0], 10))
                await customers.send(RejectOrder(f"p-{number}-{turn}", "changed my mind"))

    async def operator() -> None:
        for service in (customers, orders):
            await asyncio.sleep(4)
            await service.stop()

    await asyncio.gather(operator(), cashier(), *map(buyer, range(2)), *map(client, range(4)))
