"""The service of shipments: it refuses addresses that it does not reach."""

from __future__ import annotations

from actorium import Aggregate, Rejected, Runtime, create, decide, evolve
from actorium.examples.shop.messages import (
    ArrangeShipment,
    CancelShipment,
    OrderApproved,
    OrderPlaced,
    OrderRejected,
    ShipmentArranged,
    ShipmentCancelled,
)
from actorium.services import RemoteService, Service

orders = RemoteService("orders", events=[OrderPlaced, OrderApproved, OrderRejected])

OUT_OF_REACH = "the moon"


class Shipment(Aggregate):
    """A shipment: `status` is arranged or cancelled."""

    status: str = ""

    @create
    def arrange(self, command: ArrangeShipment) -> ShipmentArranged:
        if command.address == OUT_OF_REACH:
            raise Rejected("nobody delivers there", address=command.address)
        return ShipmentArranged(command.address)

    @decide
    def cancel(self, command: CancelShipment) -> ShipmentCancelled | None:
        return ShipmentCancelled() if self.status == "arranged" else None

    @evolve
    def arranged(self, event: ShipmentArranged) -> None:
        self.status = "arranged"

    @evolve
    def cancelled(self, event: ShipmentCancelled) -> None:
        self.status = "cancelled"


def shipping(bus: str, store: str) -> Runtime:
    """Return the runtime of the service."""
    service = Service(
        "shipping",
        bus=bus,
        accepts={ArrangeShipment: ["orders"], CancelShipment: ["orders"]},
        publishes=[ShipmentArranged, ShipmentCancelled],
    )
    return Runtime([Shipment, orders], store=store, service=service)
