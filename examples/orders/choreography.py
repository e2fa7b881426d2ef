"""Choreography: no central control; each service reacts to the events of the others. Same domain, same results.

No single place describes the path of an order: it results from these reactions. Each reaction gets its event at least
once and sends its command with the id it is given. The id is the same each time, so the command takes effect once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from actorium import Command, EventStore, IdempotencyKey, RecordedEvent, Rejected, Runtime, react
from actorium.examples.orders.domain import (
    SERVICES,
    ArrangeShipment,
    Charge,
    Charged,
    ConfirmOrder,
    Order,
    OrderPlaced,
    OrderRejected,
    Refund,
    RejectOrder,
    ReleaseStock,
    ReserveStock,
    ShipmentArranged,
    StockReserved,
)

Do = Callable[[Command, str, str], Awaitable[None]]
OrderOf = Callable[[str], Awaitable[Order]]
Reactions = list[Callable[..., Any]]


def choreographed(store: str | EventStore = "memory://", **options: Any) -> Runtime:
    """Return the shop whose services react to each other, not started yet; `options` are those of `Runtime`."""
    runtime: Runtime

    async def do(command: Command, order: str, key: str) -> None:
        """Send a command; if it is rejected, reject the order, and every service undoes its part.

        A rejection leaves no record. If the same event comes again, the command might succeed this time, although the
        order has been rejected. So nothing more is done for a rejected order.
        """
        if (await order_of(order)).status == "rejected":
            return
        try:
            await runtime.send(command, command_id=key, correlation_id=order)
        except Rejected as refusal:
            await runtime.send(RejectOrder(order, refusal.reason), command_id=f"{key} refused", correlation_id=order)

    async def undo(command: Command, order: str, key: str) -> None:
        """Send a command that is never rejected."""
        await runtime.send(command, command_id=key, correlation_id=order)

    async def order_of(id: str) -> Order:
        return await runtime.get(Order, id)

    services = [*_payment(do, undo), *_stock(do, undo, order_of), _shipment(do, order_of), _order(do)]
    runtime = Runtime([*SERVICES, *services], store=store, **options)
    return runtime


def _payment(do: Do, undo: Do) -> Reactions:
    @react(on_replay="run", name="shop.payment-charges")
    async def charge(event: OrderPlaced, recorded: RecordedEvent[OrderPlaced], key: IdempotencyKey) -> None:
        order = recorded.stream_id
        await do(Charge(event.customer, order, event.quantity * event.price), order, key)

    @react(on_replay="run", name="shop.payment-refunds")
    async def refund(event: OrderRejected, recorded: RecordedEvent[OrderRejected], key: IdempotencyKey) -> None:
        await undo(Refund(event.customer, recorded.stream_id), recorded.stream_id, key)

    return [charge, refund]


def _stock(do: Do, undo: Do, order_of: OrderOf) -> Reactions:
    @react(on_replay="run", name="shop.stock-reserves")
    async def reserve(event: Charged, key: IdempotencyKey) -> None:
        order = await order_of(event.order)
        await do(ReserveStock(order.item, event.order, order.quantity), event.order, key)

    @react(on_replay="run", name="shop.stock-releases")
    async def release(event: OrderRejected, recorded: RecordedEvent[OrderRejected], key: IdempotencyKey) -> None:
        await undo(ReleaseStock(event.item, recorded.stream_id), recorded.stream_id, key)

    return [reserve, release]


def _shipment(do: Do, order_of: OrderOf) -> Callable[..., Any]:
    @react(on_replay="run", name="shop.shipment-arranges")
    async def arrange(event: StockReserved, key: IdempotencyKey) -> None:
        order = await order_of(event.order)
        await do(ArrangeShipment(event.order, order.address), event.order, key)

    return arrange


def _order(do: Do) -> Callable[..., Any]:
    @react(on_replay="run", name="shop.order-confirms")
    async def confirm(event: ShipmentArranged, recorded: RecordedEvent[ShipmentArranged], key: IdempotencyKey) -> None:
        await do(ConfirmOrder(recorded.stream_id), recorded.stream_id, key)

    return confirm
