"""The service of customers: each has a credit limit, and what is reserved of it by orders."""

from __future__ import annotations

from actorium import Aggregate, Rejected, Runtime, create, decide, evolve
from actorium.examples.shop.messages import (
    CreditReleased,
    CreditReserved,
    CustomerOpened,
    OpenCustomer,
    OrderApproved,
    OrderPlaced,
    OrderRejected,
    ReleaseCredit,
    ReserveCredit,
)
from actorium.services import RemoteService, Service

orders = RemoteService("orders", events=[OrderPlaced, OrderApproved, OrderRejected])


class Customer(Aggregate):
    """A customer: the credit that its orders have reserved never exceeds its limit."""

    limit: int = 0
    reserved: dict[str, int] = {}

    @create
    def open(self, command: OpenCustomer) -> CustomerOpened:
        return CustomerOpened(command.limit)

    @decide
    def reserve(self, command: ReserveCredit) -> CreditReserved | None:
        if command.order in self.reserved:
            return None
        free = self.limit - sum(self.reserved.values())
        if command.amount > free:
            raise Rejected("over the credit limit", free=free, amount=command.amount)
        return CreditReserved(command.order, command.amount)

    @decide
    def release(self, command: ReleaseCredit) -> CreditReleased | None:
        return CreditReleased(command.order) if command.order in self.reserved else None

    @evolve
    def opened(self, event: CustomerOpened) -> None:
        self.limit = event.limit

    @evolve
    def credit_reserved(self, event: CreditReserved) -> None:
        self.reserved = {**self.reserved, event.order: event.amount}

    @evolve
    def credit_released(self, event: CreditReleased) -> None:
        self.reserved = {order: amount for order, amount in self.reserved.items() if order != event.order}


def customers(bus: str, store: str) -> Runtime:
    """Return the runtime of the service."""
    service = Service(
        "customers",
        bus=bus,
        accepts={OpenCustomer: ["web"], ReserveCredit: ["orders"], ReleaseCredit: ["orders"]},
        publishes=[CreditReserved, CreditReleased],
    )
    return Runtime([Customer, orders], store=store, service=service)
