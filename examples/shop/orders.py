"""The service of orders: it places them, and fills each with the help of the other two."""

from __future__ import annotations

from actorium import (
    Aggregate,
    Projection,
    RecordedEvent,
    Rejected,
    Runtime,
    Saga,
    create,
    decide,
    evolve,
    on,
    query,
    starts,
    step,
)
from actorium.examples.shop.messages import (
    ApproveOrder,
    ArrangeShipment,
    CancelShipment,
    CreditReleased,
    CreditReserved,
    OrderApproved,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
    RejectOrder,
    ReleaseCredit,
    ReserveCredit,
    ShipmentArranged,
    ShipmentCancelled,
)
from actorium.services import RemoteService, Service

customers = RemoteService("customers", commands=[ReserveCredit, ReleaseCredit], events=[CreditReserved, CreditReleased])
shipping = RemoteService(
    "shipping", commands=[ArrangeShipment, CancelShipment], events=[ShipmentArranged, ShipmentCancelled]
)


class Order(Aggregate):
    """An order: `status` is placed, approved or rejected."""

    status: str = ""
    customer: str = ""
    amount: int = 0
    reason: str = ""

    @create
    def place(self, command: PlaceOrder) -> OrderPlaced:
        if command.amount < 1:
            raise Rejected("an order needs an amount", amount=command.amount)
        return OrderPlaced(command.customer, command.amount, command.address)

    @decide
    def approve(self, command: ApproveOrder) -> OrderApproved | None:
        if self.status == "rejected":
            raise Rejected("the order was rejected", reason=self.reason)
        return OrderApproved(self.customer, self.amount) if self.status == "placed" else None

    @decide
    def reject(self, command: RejectOrder) -> OrderRejected | None:
        if self.status == "approved":
            raise Rejected("the order was approved")
        return OrderRejected(self.customer, command.reason) if self.status == "placed" else None

    @evolve
    def placed(self, event: OrderPlaced) -> None:
        self.status, self.customer, self.amount = "placed", event.customer, event.amount

    @evolve
    def approved(self, event: OrderApproved) -> None:
        self.status = "approved"

    @evolve
    def rejected(self, event: OrderRejected) -> None:
        self.status, self.reason = "rejected", event.reason


class FillOrder(Saga):
    """Reserves credit, arranges the shipment and approves the order; if a service refuses, undoes what was done."""

    customer: str = ""
    amount: int = 0
    address: str = ""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: OrderPlaced) -> None:
        self.customer, self.amount, self.address = event.customer, event.amount, event.address

    @step
    def accept(self) -> None:
        """Do nothing: as the first step it is undone last."""

    @accept.undo
    def reject(self) -> RejectOrder:
        return RejectOrder(self.id, self.reason)

    @step
    def reserve(self) -> ReserveCredit:
        return ReserveCredit(self.customer, self.id, self.amount)

    @reserve.undo
    def release(self) -> ReleaseCredit:
        return ReleaseCredit(self.customer, self.id)

    @step
    def ship(self) -> ArrangeShipment:
        return ArrangeShipment(self.id, self.address)

    @ship.undo
    def cancel(self) -> CancelShipment:
        return CancelShipment(self.id)

    @step
    def approve(self) -> ApproveOrder:
        return ApproveOrder(self.id)


class CreditUsed(Projection):
    """The credit that each customer has reserved, from the events of the other service."""

    orders: dict[str, dict[str, int]] = {}

    @on
    def reserved(self, event: CreditReserved, recorded: RecordedEvent[CreditReserved]) -> None:
        self.orders.setdefault(recorded.stream_id, {})[event.order] = event.amount

    @on
    def released(self, event: CreditReleased, recorded: RecordedEvent[CreditReleased]) -> None:
        self.orders.setdefault(recorded.stream_id, {}).pop(event.order, None)

    @query
    def of(self, customer: str) -> int:
        """Return the credit that a customer has reserved."""
        return sum(self.orders.get(customer, {}).values())


def orders(bus: str, store: str) -> Runtime:
    """Return the runtime of the service."""
    service = Service(
        "orders",
        bus=bus,
        accepts={PlaceOrder: ["web"]},
        publishes=[OrderPlaced, OrderApproved, OrderRejected],
    )
    return Runtime([Order, FillOrder, CreditUsed, customers, shipping], store=store, service=service)
