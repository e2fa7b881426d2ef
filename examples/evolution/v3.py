"""Version 3: an order has lines, so its first event became two; and views are no longer recorded."""

from __future__ import annotations

from typing import Any

import msgspec

from actorium import Aggregate, Command, Event, Runtime, Snapshots, create, decide, evolve, upcast

Payload = dict[str, Any]


class PlaceOrder(Command):
    """Place an order."""

    customer: str


class AddLine(Command):
    """Add an item to the order."""

    item: str
    hellers: int


class Ship(Command):
    """Send it."""

    carrier: str


class LineAdded(Event):
    """An item was added to the order."""

    item: str
    hellers: int


class OrderPlaced(Event):
    """An order was placed; `LineAdded` records its items."""

    schema_version = 3

    customer: str

    @upcast(1, type="Placed")
    @staticmethod
    def price_in_hellers(payload: Payload) -> Payload:
        return {
            "customer": payload["customer"],
            "item": payload["item"],
            "hellers": round(payload["price"] * 100),
        }

    @upcast(2)
    @staticmethod
    def its_item_as_a_line(payload: Payload) -> list[Payload | Event]:
        return [{"customer": payload["customer"]}, LineAdded(payload["item"], payload["hellers"])]


class Viewed(Event):
    """Obsolete: old ones are dropped when they are read, and new ones are not recorded."""

    schema_version = 2

    @upcast(1)
    @staticmethod
    def nothing(payload: Payload) -> None:
        return None


class Shipped(Event):
    """The order was shipped."""

    schema_version = 2

    carrier: str

    @upcast(1)
    @staticmethod
    def by_post(payload: Payload) -> Payload:
        return {"carrier": "post"}


class Line(msgspec.Struct):
    """One item of an order."""

    item: str
    hellers: int


class Order(Aggregate):
    """An order."""

    snapshots = Snapshots(every=100)

    customer: str = ""
    lines: list[Line] = []
    carrier: str = ""

    @create
    def place(self, command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.customer)

    @decide
    def add_line(self, command: AddLine) -> LineAdded:
        return LineAdded(command.item, command.hellers)

    @decide
    def ship(self, command: Ship) -> Shipped:
        return Shipped(command.carrier)

    @evolve
    def placed(self, event: OrderPlaced) -> None:
        self.customer = event.customer

    @evolve
    def line_added(self, event: LineAdded) -> None:
        self.lines.append(Line(event.item, event.hellers))

    @evolve
    def viewed(self, event: Viewed) -> None:
        pass

    @evolve
    def shipped(self, event: Shipped) -> None:
        self.carrier = event.carrier


def in_memory() -> Runtime:
    """Return the application with a separate log in memory, for `actorium schema` and `actorium asyncapi`."""
    return Runtime([Order], store="memory://")
