"""The domain of the shop, the same for both styles: orders, wallets, stock and shipments, each a service's own.

Each of them can say no. What one has done can be undone: a charge is refunded, a reservation released; a shipment that
was arranged stands, so it comes last.
"""

from __future__ import annotations

from actorium import Aggregate, Command, Event, Rejected, create, decide, evolve


class PlaceOrder(Command):
    """Order so many of an item at a price (cents each); `to` is the order's id."""

    customer: str
    item: str
    quantity: int
    price: int
    address: str


class ConfirmOrder(Command):
    """Say that everything is arranged."""


class RejectOrder(Command):
    """Say that it cannot be done, and why."""

    reason: str


class OrderPlaced(Event):
    """A customer wants something."""

    event_type = "shop.order-placed"

    customer: str
    item: str
    quantity: int
    price: int
    address: str


class OrderConfirmed(Event):
    """The customer gets it."""

    event_type = "shop.order-confirmed"


class OrderRejected(Event):
    """The customer does not get it."""

    event_type = "shop.order-rejected"

    customer: str
    item: str
    reason: str


class Order(Aggregate):
    """An order: `status` is placed, confirmed or rejected."""

    stream_type = "shop.order"

    status: str = ""
    customer: str = ""
    item: str = ""
    quantity: int = 0
    total: int = 0
    address: str = ""
    reason: str = ""

    @create
    def place(self, command: PlaceOrder) -> OrderPlaced:
        if command.quantity < 1 or command.price < 0:
            raise Rejected("an order is for one item or more", quantity=command.quantity, price=command.price)
        return OrderPlaced(command.customer, command.item, command.quantity, command.price, command.address)

    @decide
    def confirm(self, command: ConfirmOrder) -> OrderConfirmed | None:
        return OrderConfirmed() if self.status == "placed" else None

    @decide
    def reject(self, command: RejectOrder) -> OrderRejected | None:
        return OrderRejected(self.customer, self.item, command.reason) if self.status == "placed" else None

    @evolve
    def placed(self, event: OrderPlaced) -> None:
        self.status, self.customer, self.item = "placed", event.customer, event.item
        self.quantity, self.total, self.address = event.quantity, event.quantity * event.price, event.address

    @evolve
    def confirmed(self, event: OrderConfirmed) -> None:
        self.status = "confirmed"

    @evolve
    def rejected(self, event: OrderRejected) -> None:
        self.status, self.reason = "rejected", event.reason


class FillWallet(Command):
    """Put cents into a customer's wallet."""

    amount: int


class Charge(Command):
    """Take what an order costs."""

    order: str
    amount: int


class Refund(Command):
    """Give back what was taken for an order, if anything was."""

    order: str


class WalletFilled(Event):
    """There are more cents now."""

    event_type = "shop.wallet-filled"

    amount: int


class Charged(Event):
    """An order is paid."""

    event_type = "shop.charged"

    order: str
    amount: int


class Refunded(Event):
    """An order is not paid any more."""

    event_type = "shop.refunded"

    order: str
    amount: int


class Wallet(Aggregate):
    """What a customer can pay with, and what was taken for which order."""

    stream_type = "shop.wallet"

    balance: int = 0
    charges: dict[str, int] = {}

    @decide
    def fill(self, command: FillWallet) -> WalletFilled:
        return WalletFilled(command.amount)

    @decide
    def charge(self, command: Charge) -> Charged | None:
        if command.order in self.charges:
            return None
        if command.amount > self.balance:
            raise Rejected("payment refused", balance=self.balance)
        return Charged(command.order, command.amount)

    @decide
    def refund(self, command: Refund) -> Refunded | None:
        amount = self.charges.get(command.order)
        return None if amount is None else Refunded(command.order, amount)

    @evolve
    def filled(self, event: WalletFilled) -> None:
        self.balance += event.amount

    @evolve
    def charged(self, event: Charged) -> None:
        self.balance -= event.amount
        self.charges[event.order] = event.amount

    @evolve
    def refunded(self, event: Refunded) -> None:
        self.balance += event.amount
        del self.charges[event.order]


class AddStock(Command):
    """Put so many of an item on the shelf; `to` is the item."""

    quantity: int


class ReserveStock(Command):
    """Keep so many for an order."""

    order: str
    quantity: int


class ReleaseStock(Command):
    """Put back what is kept for an order, if anything is."""

    order: str


class StockAdded(Event):
    """There is more of an item."""

    event_type = "shop.stock-added"

    quantity: int


class StockReserved(Event):
    """Some of an item is kept for an order."""

    event_type = "shop.stock-reserved"

    order: str
    quantity: int


class StockReleased(Event):
    """It is not kept any more."""

    event_type = "shop.stock-released"

    order: str
    quantity: int


class Stock(Aggregate):
    """What is on the shelf of one item, and what is kept for which order."""

    stream_type = "shop.stock"

    free: int = 0
    reserved: dict[str, int] = {}

    @decide
    def add(self, command: AddStock) -> StockAdded:
        return StockAdded(command.quantity)

    @decide
    def reserve(self, command: ReserveStock) -> StockReserved | None:
        if command.order in self.reserved:
            return None
        if command.quantity > self.free:
            raise Rejected("out of stock", free=self.free)
        return StockReserved(command.order, command.quantity)

    @decide
    def release(self, command: ReleaseStock) -> StockReleased | None:
        quantity = self.reserved.get(command.order)
        return None if quantity is None else StockReleased(command.order, quantity)

    @evolve
    def added(self, event: StockAdded) -> None:
        self.free += event.quantity

    @evolve
    def was_reserved(self, event: StockReserved) -> None:
        self.free -= event.quantity
        self.reserved[event.order] = event.quantity

    @evolve
    def released(self, event: StockReleased) -> None:
        self.free += event.quantity
        del self.reserved[event.order]


class ArrangeShipment(Command):
    """Have an order sent; `to` is the order's id."""

    address: str


class ShipmentArranged(Event):
    """A carrier has it."""

    event_type = "shop.shipment-arranged"

    address: str


class Shipment(Aggregate):
    """The shipment of one order."""

    stream_type = "shop.shipment"

    address: str = ""

    @decide
    def arrange(self, command: ArrangeShipment) -> ShipmentArranged | None:
        if self.address:
            return None
        if "Atlantis" in command.address:
            raise Rejected("no carrier goes there", address=command.address)
        return ShipmentArranged(command.address)

    @evolve
    def arranged(self, event: ShipmentArranged) -> None:
        self.address = event.address


SERVICES: tuple[type[Aggregate], ...] = (Order, Wallet, Stock, Shipment)
