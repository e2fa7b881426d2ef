"""The domain of the shop, the same for both styles: orders, wallets, stock and shipments, each owned by one service.

Each service can reject its part. A charge can be refunded and a reservation released; an arranged shipment cannot be
undone, so it comes last.
"""

from __future__ import annotations

from actorium import Aggregate, Command, Event, Rejected, create, decide, evolve


class PlaceOrder(Command):
    """Order a quantity of an item at a price (cents each); `to` is the order's id."""

    customer: str
    item: str
    quantity: int
    price: int
    address: str


class ConfirmOrder(Command):
    """Confirm that everything is arranged."""


class RejectOrder(Command):
    """Reject an order, with the reason."""

    reason: str


class OrderPlaced(Event):
    """A customer placed an order."""

    event_type = "shop.order-placed"

    customer: str
    item: str
    quantity: int
    price: int
    address: str


class OrderConfirmed(Event):
    """The order was confirmed."""

    event_type = "shop.order-confirmed"


class OrderRejected(Event):
    """The order was rejected."""

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
            raise Rejected(
                "an order needs at least one item and a price",
                quantity=command.quantity,
                price=command.price,
            )
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
    """Charge the cost of an order."""

    order: str
    amount: int


class Refund(Command):
    """Refund the charge for an order, if there was one."""

    order: str


class WalletFilled(Event):
    """Cents were added to the wallet."""

    event_type = "shop.wallet-filled"

    amount: int


class Charged(Event):
    """An order was charged."""

    event_type = "shop.charged"

    order: str
    amount: int


class Refunded(Event):
    """The charge for an order was refunded."""

    event_type = "shop.refunded"

    order: str
    amount: int


class Wallet(Aggregate):
    """A customer's money, and the charge for each order."""

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
    """Add items to the stock; `to` is the item."""

    quantity: int


class ReserveStock(Command):
    """Reserve items for an order."""

    order: str
    quantity: int


class ReleaseStock(Command):
    """Release the items reserved for an order, if there are any."""

    order: str


class StockAdded(Event):
    """Items were added to the stock."""

    event_type = "shop.stock-added"

    quantity: int


class StockReserved(Event):
    """Items were reserved for an order."""

    event_type = "shop.stock-reserved"

    order: str
    quantity: int


class StockReleased(Event):
    """The reservation was released."""

    event_type = "shop.stock-released"

    order: str
    quantity: int


class Stock(Aggregate):
    """The free stock of one item, and the quantity reserved for each order."""

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
    """Arrange the shipment of an order; `to` is the order's id."""

    address: str


class ShipmentArranged(Event):
    """A carrier accepted the shipment."""

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
            raise Rejected("no carrier delivers to this address", address=command.address)
        return ShipmentArranged(command.address)

    @evolve
    def arranged(self, event: ShipmentArranged) -> None:
        self.address = event.address


SERVICES: tuple[type[Aggregate], ...] = (Order, Wallet, Stock, Shipment)
