"""Version 1: an order is one item at a price, and views are recorded as events."""

from __future__ import annotations

from actorium import Aggregate, Command, Event, create, decide, evolve


class PlaceOrder(Command):
    """Place an order."""

    customer: str
    item: str
    price: float


class View(Command):
    """Record that somebody viewed the order."""

    by: str


class Ship(Command):
    """Send it."""


class Placed(Event):
    """An order was placed; the price is in crowns."""

    customer: str
    item: str
    price: float


class Viewed(Event):
    """Somebody viewed the order."""

    by: str


class Shipped(Event):
    """The order was shipped."""


class Order(Aggregate):
    """An order."""

    customer: str = ""
    price: float = 0.0
    views: int = 0
    is_shipped: bool = False

    @create
    def place(self, command: PlaceOrder) -> Placed:
        return Placed(command.customer, command.item, command.price)

    @decide
    def view(self, command: View) -> Viewed:
        return Viewed(command.by)

    @decide
    def ship(self, command: Ship) -> Shipped:
        return Shipped()

    @evolve
    def placed(self, event: Placed) -> None:
        self.customer = event.customer
        self.price = event.price

    @evolve
    def viewed(self, event: Viewed) -> None:
        self.views += 1

    @evolve
    def shipped(self, event: Shipped) -> None:
        self.is_shipped = True
