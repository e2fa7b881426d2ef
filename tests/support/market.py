"""Two services, orders and customers, where orders has an outlet that holds its events, and a schedule."""

from typing import Any

from support.shop_parts import CreditReserved, Customer, CustomerOpened, Order, OrderPlaced, PlaceOrder, customers
from support.two_services import ACCEPTED, new_bus

from actorium import Outlet, Projection, Runtime, Saga, on, query, starts
from actorium.schedules import Schedule
from actorium.services import Service

HELD_S = 600.0


class Welcome(Saga):
    """Orders a gift for each new customer."""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: CustomerOpened) -> PlaceOrder:
        return PlaceOrder(f"gift-{self.id}", self.id, 1)


class Limits(Projection):
    """What the customers may owe."""

    total: int = 0

    @on
    def opened(self, event: CustomerOpened) -> None:
        self.total += event.limit

    @query
    def sum(self) -> int:
        return self.total


async def accept(event: Any) -> None:
    """Take an event, for the outlet."""


def market(store: Any = "memory://", **options: Any) -> tuple[Runtime, Runtime]:
    """Return the orders and the customers, not started."""
    bus = new_bus()
    outlet = Outlet("warehouse", types=[OrderPlaced], sink=accept, source="/orders", start="beginning", hold_s=HELD_S)
    nightly = Schedule("nightly", lambda due: PlaceOrder(f"nightly-{due:%Y-%m-%d-%H}", "house", 1), every_s=3_600)
    orders = Runtime(
        [Order, Welcome, Limits, customers(), outlet, nightly],
        store=store,
        service=Service("orders", bus=bus, accepts=[PlaceOrder]),
        **options,
    )
    published = [CustomerOpened, CreditReserved]
    home = Runtime(
        [Customer],
        store="memory://",
        service=Service("customers", bus=bus, accepts=ACCEPTED, publishes=published),
        **options,
    )
    return orders, home
