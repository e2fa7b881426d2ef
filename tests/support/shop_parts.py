"""Two services for tests: orders, and customers with a credit limit.

The messages are those of `examples/shop`, as far as they are the same. Its aggregates are not: they forgive a command
that takes effect twice, and these must not, so that a test notices.
"""

from actorium import Aggregate, Command, Event, Rejected, create, decide, evolve
from actorium.examples.shop.messages import (
    ApproveOrder,
    CreditReleased,
    CreditReserved,
    CustomerOpened,
    OpenCustomer,
    RejectOrder,
    ReleaseCredit,
    ReserveCredit,
)
from actorium.services import RemoteService

__all__ = [
    "ApproveOrder",
    "CreditReleased",
    "CreditReserved",
    "Customer",
    "CustomerOpened",
    "OpenCustomer",
    "Order",
    "OrderApproved",
    "OrderPlaced",
    "OrderRejected",
    "PlaceOrder",
    "RejectOrder",
    "ReleaseCredit",
    "ReserveCredit",
    "customers",
]


class Customer(Aggregate):
    limit: int = 0
    reserved: dict[str, int] = {}

    @create
    def open(self, command: OpenCustomer) -> CustomerOpened:
        return CustomerOpened(command.limit)

    @decide
    def reserve(self, command: ReserveCredit) -> CreditReserved:
        if sum(self.reserved.values()) + command.amount > self.limit:
            raise Rejected("over the limit", limit=self.limit)
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


def customers(name: str = "customers") -> RemoteService:
    """The service as others see it."""
    return RemoteService(
        name, commands=[OpenCustomer, ReserveCredit, ReleaseCredit], events=[CustomerOpened, CreditReserved]
    )


class PlaceOrder(Command):
    customer: str
    amount: int


class OrderPlaced(Event):
    customer: str
    amount: int


class OrderApproved(Event):
    pass


class OrderRejected(Event):
    reason: str


class Order(Aggregate):
    status: str = ""

    @create
    def place(self, command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.customer, command.amount)

    @decide
    def approve(self, command: ApproveOrder) -> OrderApproved:
        if self.status != "placed":
            raise Rejected("not placed", status=self.status)
        return OrderApproved()

    @decide
    def reject(self, command: RejectOrder) -> OrderRejected | None:
        return None if self.status == "rejected" else OrderRejected(command.reason)

    @evolve
    def placed(self, event: OrderPlaced) -> None:
        self.status = "placed"

    @evolve
    def approved(self, event: OrderApproved) -> None:
        self.status = "approved"

    @evolve
    def rejected(self, event: OrderRejected) -> None:
        self.status = "rejected"
