"""Version 2: money is counted in hellers, the first event has a better name, and a shipment has a carrier."""

from __future__ import annotations

from typing import Any

from actorium import Aggregate, Command, Event, create, decide, evolve, upcast

Payload = dict[str, Any]


class PlaceOrder(Command):
    """Place an order."""

    customer: str
    item: str
    hellers: int


class View(Command):
    """Record that somebody viewed the order."""

    by: str


class Ship(Command):
    """Send it."""

    carrier: str


class OrderPlaced(Event):
    """An order was placed."""

    schema_version = 2

    customer: str
    item: str
    hellers: int

    @upcast(1, type="Placed")
    @staticmethod
    def price_in_hellers(payload: Payload) -> Payload:
        return {
            "customer": payload["customer"],
            "item": payload["item"],
            "hellers": round(payload["price"] * 100),
        }


class Viewed(Event):
    """Somebody viewed the order."""

    by: str


class Shipped(Event):
    """The order was shipped."""

    schema_version = 2

    carrier: str

    @upcast(1)
    @staticmethod
    def by_post(payload: Payload) -> Payload:
        return {"carrier": "post"}  # the only carrier at that time


class Order(Aggregate):
    """An order."""

    customer: str = ""
    hellers: int = 0
    views: int = 0
    carrier: str = ""

    @create
    def place(self, command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.customer, command.item, command.hellers)

    @decide
    def view(self, command: View) -> Viewed:
        return Viewed(command.by)

    @decide
    def ship(self, command: Ship) -> Shipped:
        return Shipped(command.carrier)

    @evolve
    def placed(self, event: OrderPlaced) -> None:
        self.customer = event.customer
        self.hellers = event.hellers

    @evolve
    def viewed(self, event: Viewed) -> None:
        self.views += 1

    @evolve
    def shipped(self, event: Shipped) -> None:
        self.carrier = event.carrier
