"""Customers and orders: an order is approved if its customer's credit covers it, and rejected otherwise.

The credit belongs to the customer aggregate, so orders are decided one by one, however many arrive at once.
"""

from __future__ import annotations

from actorium import (
    Aggregate,
    Command,
    Event,
    EventStore,
    Rejected,
    Runtime,
    Saga,
    create,
    decide,
    evolve,
    starts,
    step,
)


class OpenCustomer(Command):
    """Open a customer's account; `limit` is how many cents they may owe."""

    limit: int


class ReserveCredit(Command):
    """Reserve the cost of an order from a customer's credit."""

    order: str
    amount: int


class ReleaseCredit(Command):
    """Release the reserved credit: the order was cancelled."""

    order: str


class CustomerOpened(Event):
    """A customer may owe this many cents."""

    event_type = "credit.customer-opened"

    limit: int


class CreditReserved(Event):
    """Credit was reserved for an order."""

    event_type = "credit.reserved"

    order: str
    amount: int


class CreditReleased(Event):
    """The reserved credit was released."""

    event_type = "credit.released"

    order: str


class Customer(Aggregate):
    """A customer: the limit, and the amount owed for each order."""

    stream_type = "credit.customer"

    limit: int = 0
    owed: dict[str, int] = {}

    @create
    def open(self, command: OpenCustomer) -> CustomerOpened:
        return CustomerOpened(command.limit)

    @decide
    def reserve(self, command: ReserveCredit) -> CreditReserved | None:
        if command.order in self.owed:
            return None
        free = self.limit - sum(self.owed.values())
        if command.amount > free:
            raise Rejected("credit limit exceeded", limit=self.limit, free=free)
        return CreditReserved(command.order, command.amount)

    @decide
    def release(self, command: ReleaseCredit) -> CreditReleased | None:
        return CreditReleased(command.order) if command.order in self.owed else None

    @evolve
    def opened(self, event: CustomerOpened) -> None:
        self.limit = event.limit

    @evolve
    def reserved(self, event: CreditReserved) -> None:
        self.owed[event.order] = event.amount

    @evolve
    def released(self, event: CreditReleased) -> None:
        del self.owed[event.order]


class PlaceCreditOrder(Command):
    """Order something on credit; the amount is in cents."""

    customer: str
    amount: int


class ApproveOrder(Command):
    """Approve an order: the credit covers it."""


class DeclineOrder(Command):
    """Decline an order, with the reason."""

    reason: str


class CancelOrder(Command):
    """Cancel an approved order."""


class CreditOrderPlaced(Event):
    """An order is waiting for the customer's credit."""

    event_type = "credit.order-placed"

    customer: str
    amount: int


class OrderApproved(Event):
    """The order was approved: the credit covers it."""

    event_type = "credit.order-approved"


class OrderDeclined(Event):
    """The order was declined: the credit does not cover it."""

    event_type = "credit.order-declined"

    reason: str


class OrderCancelled(Event):
    """The order was cancelled."""

    event_type = "credit.order-cancelled"

    customer: str


class CreditOrder(Aggregate):
    """An order on credit: `status` is pending, approved, rejected or cancelled."""

    stream_type = "credit.order"

    status: str = ""
    customer: str = ""
    reason: str = ""

    @create
    def place(self, command: PlaceCreditOrder) -> CreditOrderPlaced:
        if command.amount <= 0:
            raise Rejected("an order must cost more than 0", amount=command.amount)
        return CreditOrderPlaced(command.customer, command.amount)

    @decide
    def approve(self, command: ApproveOrder) -> OrderApproved | None:
        return OrderApproved() if self.status == "pending" else None

    @decide
    def decline(self, command: DeclineOrder) -> OrderDeclined | None:
        return OrderDeclined(command.reason) if self.status == "pending" else None

    @decide
    def cancel(self, command: CancelOrder) -> OrderCancelled:
        if self.status != "approved":
            raise Rejected("only an approved order can be cancelled", status=self.status)
        return OrderCancelled(self.customer)

    @evolve
    def placed(self, event: CreditOrderPlaced) -> None:
        self.status, self.customer = "pending", event.customer

    @evolve
    def approved(self, event: OrderApproved) -> None:
        self.status = "approved"

    @evolve
    def declined(self, event: OrderDeclined) -> None:
        self.status, self.reason = "rejected", event.reason

    @evolve
    def cancelled(self, event: OrderCancelled) -> None:
        self.status = "cancelled"


class CreditCheck(Saga):
    """From a pending order to an approved or rejected one."""

    saga_type = "credit.check"

    customer: str = ""
    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id)
    def placed(self, event: CreditOrderPlaced) -> None:
        self.customer, self.amount = event.customer, event.amount

    @step
    def wait(self) -> None:
        """Do nothing: the order is already pending; the undo rejects it."""

    @wait.undo
    def decline(self) -> DeclineOrder:
        return DeclineOrder(self.id, self.reason)

    @step(pivot=True, undo=None)
    def reserve(self) -> ReserveCredit:
        return ReserveCredit(self.customer, self.id, self.amount)

    @step
    def approve(self) -> ApproveOrder:
        return ApproveOrder(self.id)


class Cancellation(Saga):
    """From a cancelled order to released credit."""

    saga_type = "credit.cancellation"

    customer: str = ""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def cancelled(self, event: OrderCancelled) -> None:
        self.customer = event.customer

    @step(pivot=True)
    def stand(self) -> None:
        """Do nothing: the order is already cancelled. The saga cannot be undone and only goes forward."""

    @step
    def release(self) -> ReleaseCredit:
        return ReleaseCredit(self.customer, self.id)


def customers_and_orders(store: str | EventStore = "memory://") -> Runtime:
    """Return customers, their orders and the sagas between them, not started yet."""
    return Runtime([Customer, CreditOrder, CreditCheck, Cancellation], store=store)
