"""A shop with a bit of everything that an operator can meet: stuck sagas, dead letters, timers, a paused processor."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actorium import (
    Aggregate,
    Command,
    Event,
    Projection,
    Retry,
    Runtime,
    Saga,
    Settings,
    decide,
    evolve,
    on,
    query,
    react,
    starts,
    step,
)
from actorium.testing import LoopSource


class PlaceOrder(Command):
    customer: str
    amount: int


class Pay(Command):
    amount: int


class Ship(Command):
    pass


class Repair(Command):
    """The warehouse works again."""


class OrderPlaced(Event):
    customer: str
    amount: int


class Paid(Event):
    amount: int


class Shipped(Event):
    pass


class Repaired(Event):
    pass


class Order(Aggregate):
    """An order; its amount is what the customer owes."""

    customer: str = ""
    amount: int = 0

    @decide
    def place(self, command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.customer, command.amount)

    @evolve
    def placed(self, event: OrderPlaced) -> None:
        self.customer, self.amount = event.customer, event.amount


class Wallet(Aggregate):
    """The money of a customer."""

    paid: int = 0

    @decide
    def pay(self, command: Pay) -> Paid:
        return Paid(command.amount)

    @evolve
    def was_paid(self, event: Paid) -> None:
        self.paid += event.amount


class Faults:
    """What is broken now."""

    warehouse = True
    mail = True


class Warehouse(Aggregate):
    """Ships unless it is broken."""

    shipped: int = 0

    @decide
    def ship(self, command: Ship) -> Shipped:
        if Faults.warehouse:
            raise ZeroDivisionError("the warehouse has no paper for <script>alert(1)</script>")
        return Shipped()

    @decide
    def repair(self, command: Repair) -> Repaired:
        return Repaired()

    @evolve
    def was_shipped(self, event: Shipped) -> None:
        self.shipped += 1

    @evolve
    def was_repaired(self, event: Repaired) -> None: ...


class Checkout(Saga):
    """Takes the money and ships; a broken warehouse leaves it stuck."""

    customer: str = ""
    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: OrderPlaced) -> None:
        self.customer, self.amount = event.customer, event.amount

    @step(pivot=True)
    def pay(self) -> Pay:
        return Pay(self.customer, self.amount)

    @step(retry=Retry(attempts=1))
    def ship(self) -> Ship:
        return Ship("main")


class Income(Projection):
    """The money that came in."""

    total: int = 0

    @on
    def paid(self, event: Paid) -> None:
        self.total += event.amount

    @query
    def sum(self) -> int:
        return self.total


@react(on_replay="skip", retry=Retry(attempts=1))
async def mail(event: OrderPlaced) -> None:
    """Confirm an order."""
    if Faults.mail:
        raise ConnectionError(f"no mail for {event.customer}")


PARTS: list[Any] = [Order, Wallet, Warehouse, Checkout, Income, mail]


@asynccontextmanager
async def open_shop(store: Any = "memory://", **options: Any) -> AsyncIterator[Runtime]:
    """Run the shop, with a broken warehouse and no mail."""
    Faults.warehouse = Faults.mail = True
    settings = Settings(handler_retry=Retry(attempts=1))
    async with Runtime(PARTS, store=store, settings=settings, source=LoopSource(), **options) as runtime:
        yield runtime


async def place(runtime: Runtime, *orders: str, amount: int = 30) -> None:
    """Place orders of alice."""
    for order in orders:
        await runtime.send(PlaceOrder(order, "alice", amount), command_id=f"place {order}")


async def until(runtime: Runtime, saga: str, status: str) -> None:
    """Wait until a checkout has ended or is stuck, in this status, and the list of sagas says so."""
    view = await runtime.sagas.get(Checkout, saga, ended_within_s=30)
    assert view.status == status, f"{view.status}: {view.reason}"
    assert saga in [one.id async for one in runtime.sagas.list(status=status)]
