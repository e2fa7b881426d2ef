"""Orchestration: one saga decides the next step and what to undo. The services do not know about each other.

The saga shows the path of an order from top to bottom, and `runtime.sagas.get(Fulfilment, "o-1")` shows the path of one
order.
"""

from __future__ import annotations

from actorium import EventStore, Runtime, Saga, starts, step
from actorium.examples.orders.domain import (
    SERVICES,
    ArrangeShipment,
    Charge,
    ConfirmOrder,
    OrderPlaced,
    Refund,
    RejectOrder,
    ReleaseStock,
    ReserveStock,
)


class Fulfilment(Saga):
    """From an order to its shipment; its id is the order's."""

    saga_type = "shop.fulfilment"

    customer: str = ""
    item: str = ""
    quantity: int = 0
    total: int = 0
    address: str = ""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def placed(self, event: OrderPlaced) -> None:
        self.customer, self.item, self.quantity = event.customer, event.item, event.quantity
        self.total, self.address = event.quantity * event.price, event.address

    @step
    def accept(self) -> None:
        """Do nothing: as the first step it is undone last, after everything else."""

    @accept.undo
    def reject(self) -> RejectOrder:
        return RejectOrder(self.id, self.reason)

    @step
    def pay(self) -> Charge:
        return Charge(self.customer, self.id, self.total)

    @pay.undo
    def refund(self) -> Refund:
        return Refund(self.customer, self.id)

    @step
    def reserve(self) -> ReserveStock:
        return ReserveStock(self.item, self.id, self.quantity)

    @reserve.undo
    def release(self) -> ReleaseStock:
        return ReleaseStock(self.item, self.id)

    @step(pivot=True)
    def ship(self) -> ArrangeShipment:
        return ArrangeShipment(self.id, self.address)

    @step
    def confirm(self) -> ConfirmOrder:
        return ConfirmOrder(self.id)


def orchestrated(store: str | EventStore = "memory://") -> Runtime:
    """Return the shop with its saga, not started yet."""
    return Runtime([*SERVICES, Fulfilment], store=store)
