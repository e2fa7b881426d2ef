"""The commands and events that the services share. A real shop would put them in a small package."""

from __future__ import annotations

from actorium import Command, Event

# --- orders -----------------------------------------------------------------------------------------------------------


class PlaceOrder(Command):
    """Order something for an amount, in cents; `to` is the order's id."""

    customer: str
    amount: int
    address: str


class ApproveOrder(Command):
    """Approve an order: its credit is reserved and its shipment is arranged."""


class RejectOrder(Command):
    """Reject an order, with the reason."""

    reason: str


class OrderPlaced(Event):
    """A customer placed an order."""

    customer: str
    amount: int
    address: str


class OrderApproved(Event):
    """The order was approved."""

    customer: str
    amount: int


class OrderRejected(Event):
    """The order was rejected."""

    customer: str
    reason: str


# --- customers --------------------------------------------------------------------------------------------------------


class OpenCustomer(Command):
    """Open a customer's account with a credit limit, in cents."""

    limit: int


class ReserveCredit(Command):
    """Reserve credit for an order."""

    order: str
    amount: int


class ReleaseCredit(Command):
    """Release the credit of an order."""

    order: str


class CustomerOpened(Event):
    """A customer's account was opened."""

    limit: int


class CreditReserved(Event):
    """Credit was reserved for an order."""

    order: str
    amount: int


class CreditReleased(Event):
    """The credit of an order was released."""

    order: str


# --- shipping ---------------------------------------------------------------------------------------------------------


class ArrangeShipment(Command):
    """Arrange a shipment; `to` is the order's id."""

    address: str


class CancelShipment(Command):
    """Cancel a shipment that was arranged."""


class ShipmentArranged(Event):
    """A shipment was arranged."""

    address: str


class ShipmentCancelled(Event):
    """A shipment was cancelled."""
