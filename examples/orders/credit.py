"""Customers and orders: an order is approved if its customer's credit covers it, and rejected if not.

The credit belongs to the customer, so the customer decides: one after the other, however many orders come at once.
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
    """Begin to deal with a customer; `limit` is how many cents they may owe."""

    limit: int


class ReserveCredit(Command):
    """Let a customer owe what an order costs."""

    order: str
    amount: int


class ReleaseCredit(Command):
    """Let a customer owe it no more: the order was cancelled."""

    order: str


class CustomerOpened(Event):
    """A customer may owe so many cents."""

    event_type = "credit.customer-opened"

    limit: int


class CreditReserved(Event):
    """The customer owes what an order costs."""

    event_type = "credit.reserved"

    order: str
    amount: int


class CreditReleased(Event):
    """The customer owes it no more."""

    event_type = "credit.released"

    order: str


class Customer(Aggregate):
    """A customer: the limit, and what is owed for which order."""

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
    """Order something for so many cents, on credit."""

    customer: str
    amount: int


class ApproveOrder(Command):
    """Say that the credit covers it."""


class DeclineOrder(Command):
    """Say that it does not, and why."""

    reason: str


class CancelOrder(Command):
    """Take an approved order back."""


class CreditOrderPlaced(Event):
    """An order waits for the customer's credit."""

    event_type = "credit.order-placed"

    customer: str
    amount: int


class OrderApproved(Event):
    """The credit covers it."""

    event_type = "credit.order-approved"


class OrderDeclined(Event):
    """The credit does not cover it."""

    event_type = "credit.order-declined"

    reason: str


class OrderCancelled(Event):
    """It was taken back."""

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
            raise Rejected("an order costs more than 0", amount=command.amount)
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
    """From a pending order to an approved or a rejected one."""

    saga_type = "credit.check"

    customer: str = ""
    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id)
    def placed(self, event: CreditOrderPlaced) -> None:
        self.customer, self.amount = event.customer, event.amount

    @step
    def wait(self) -> None:
        """The order is pending already; its undo rejects it."""

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
    """From a cancelled order to free credit."""

    saga_type = "credit.cancellation"

    customer: str = ""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def cancelled(self, event: OrderCancelled) -> None:
        self.customer = event.customer

    @step(pivot=True)
    def stand(self) -> None:
        """The order is cancelled already: there is no way back, so it only goes forward."""

    @step
    def release(self) -> ReleaseCredit:
        return ReleaseCredit(self.customer, self.id)


def customers_and_orders(store: str | EventStore = "memory://") -> Runtime:
    """Return customers, their orders and the sagas between them, not started yet."""
    return Runtime([Customer, CreditOrder, CreditCheck, Cancellation], store=store)
