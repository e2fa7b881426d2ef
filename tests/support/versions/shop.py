"""The nodes of two services of the shop, in version 1 or 2 of their code."""

from actorium import Command, Event, Rejected, Runtime, decide, evolve
from actorium.cluster import Cluster
from actorium.examples.shop import customers, orders
from actorium.examples.shop.customers import Customer
from actorium.examples.shop.messages import (
    ApproveOrder,
    CreditReleased,
    CreditReserved,
    OpenCustomer,
    OrderApproved,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
    ReleaseCredit,
    ReserveCredit,
)
from actorium.examples.shop.orders import CreditUsed, FillOrder, Order
from actorium.services import Service


class RaiseLimit(Command):
    limit: int


class LimitRaised(Event):
    limit: int


class CreditChecked(Event):
    free: int


class NewCustomer(Customer):
    """Version 2 of a customer: its limit can be raised, and each reservation records what is left."""

    stream_type = "Customer"

    checked: int = 0

    @decide
    def reserve(self, command: ReserveCredit) -> list[CreditReserved | CreditChecked]:
        if command.order in self.reserved:
            return []
        free = self.limit - sum(self.reserved.values())
        if command.amount > free:
            raise Rejected("over the credit limit", free=free, amount=command.amount)
        return [CreditReserved(command.order, command.amount), CreditChecked(free)]

    @decide
    def raise_limit(self, command: RaiseLimit) -> LimitRaised:
        return LimitRaised(command.limit)

    @evolve
    def limit_raised(self, event: LimitRaised) -> None:
        self.limit = event.limit

    @evolve
    def credit_checked(self, event: CreditChecked) -> None:
        self.checked += 1


class OrderAudited(Event):
    amount: int


class NewOrder(Order):
    """Version 2 of an order: an approval is audited."""

    stream_type = "Order"

    audited: bool = False

    @decide
    def approve(self, command: ApproveOrder) -> list[OrderApproved | OrderAudited]:
        if self.status == "rejected":
            raise Rejected("the order was rejected", reason=self.reason)
        if self.status == "approved":
            return []
        return [OrderApproved(self.customer, self.amount), OrderAudited(self.amount)]

    @evolve
    def was_audited(self, event: OrderAudited) -> None:
        self.audited = True


def customers_node(version: int, node: str, store: str, bus: str) -> Runtime:
    new: dict[type[Command], list[str]] = {RaiseLimit: ["web"]} if version == 2 else {}
    service = Service(
        "customers",
        bus=bus,
        accepts={OpenCustomer: ["web"], ReserveCredit: ["orders"], ReleaseCredit: ["orders"], **new},
        publishes=[CreditReserved, CreditReleased],
    )
    parts = [NewCustomer if version == 2 else Customer, customers.orders]
    return Runtime(parts, store=store, service=service, cluster=Cluster(node=node, code=str(version), wire=bus))


def orders_node(version: int, node: str, store: str, bus: str) -> Runtime:
    service = Service(
        "orders", bus=bus, accepts={PlaceOrder: ["web"]}, publishes=[OrderPlaced, OrderApproved, OrderRejected]
    )
    order = NewOrder if version == 2 else Order
    parts = [order, FillOrder, CreditUsed, orders.customers, orders.shipping]
    return Runtime(parts, store=store, service=service, cluster=Cluster(node=node, code=str(version), wire=bus))
