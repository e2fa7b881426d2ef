"""The shop in a simulated world with faults: `actorium simulate examples/orders`.

The same orders go through one saga (`orchestration`) and through services that react to each other (`choreography`);
the same invariants hold for both. In `credit_limit` customers must not owe too much.

The other scenarios are one order each, one for each way in which it can end. `actorium simulate examples/orders
--exhaustive` tries every fault in them with every crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from actorium import Rejected
from actorium.examples.orders.choreography import choreographed
from actorium.examples.orders.credit import (
    Cancellation,
    CancelOrder,
    CreditCheck,
    CreditOrder,
    Customer,
    OpenCustomer,
    PlaceCreditOrder,
)
from actorium.examples.orders.domain import (
    SERVICES,
    AddStock,
    FillWallet,
    Order,
    PlaceOrder,
    Shipment,
    Stock,
    Wallet,
)
from actorium.examples.orders.orchestration import Fulfilment
from actorium.simulation import SimulatedRuntime, View, World, simulation

Parts = Sequence[Any] | Callable[..., Any]

_ORCHESTRATED = (*SERVICES, Fulfilment)
_CUSTOMERS = ("ann", "bob", "cid")
_ORDERS_EACH = 3
_MONEY = 1_000  # cents: each customer's money and credit limit
_ITEMS = ("lamp", "vase")
_ON_THE_SHELF = 5
_SOON_S = 600  # after the last fault, in simulated seconds
_POLLS = 10  # a stuck saga waits for a person, who comes after the faults


@simulation(seeds=1_000)
async def orchestration(world: World) -> None:
    """Three customers place three orders each; a saga controls each order."""
    await orders(world, _ORCHESTRATED)


@simulation(seeds=1_000)
async def choreography(world: World) -> None:
    """The same orders without central control."""
    await orders(world, choreographed)


@simulation(seeds=1_000)
async def credit_limit(world: World) -> None:
    """Three customers order more than their limits allow, and cancel some orders."""
    shop = await shop_on_credit(world, _CUSTOMERS)
    await asyncio.gather(*(order_on_credit(world, shop, customer) for customer in _CUSTOMERS))


@simulation(exhaustive=True)
async def orchestrated_order(world: World) -> None:
    """One order that a saga completes."""
    await order_once(world, _ORCHESTRATED, "Prague")


@simulation(exhaustive=True)
async def orchestrated_order_undone(world: World) -> None:
    """One order that a saga undoes, from the last step to the first: no carrier delivers to the address."""
    await order_once(world, _ORCHESTRATED, "Atlantis")


@simulation(exhaustive=True)
async def choreographed_order(world: World) -> None:
    """One order that passes from service to service."""
    await order_once(world, choreographed, "Prague")


@simulation(exhaustive=True)
async def choreographed_order_undone(world: World) -> None:
    """One order that each service undoes: no carrier delivers to the address."""
    await order_once(world, choreographed, "Atlantis")


@simulation(exhaustive=True)
async def cancelled_order(world: World) -> None:
    """One order on credit that is approved and then cancelled."""
    shop = await shop_on_credit(world, _CUSTOMERS[:1])
    await shop.send(PlaceCreditOrder("o-0", _CUSTOMERS[0], _MONEY))
    await decided(shop, CreditOrder, "o-0", "pending")
    await cancel(shop, "o-0")


@simulation(exhaustive=True)
async def declined_order(world: World) -> None:
    """One order on credit that exceeds the limit."""
    shop = await shop_on_credit(world, _CUSTOMERS[:1])
    await shop.send(PlaceCreditOrder("o-0", _CUSTOMERS[0], _MONEY + 1))


async def orders(world: World, parts: Parts) -> None:
    """Place orders, some of which cannot be paid, are out of stock, or cannot be delivered."""
    shop = await shop_of(world, parts, _CUSTOMERS, _ITEMS)
    await asyncio.gather(*(order(world, shop, customer) for customer in _CUSTOMERS))


async def order_once(world: World, parts: Parts, address: str) -> None:
    """Place one order for the whole stock."""
    shop = await shop_of(world, parts, _CUSTOMERS[:1], _ITEMS[:1])
    price = _MONEY // _ON_THE_SHELF
    await shop.send(PlaceOrder("o-0", _CUSTOMERS[0], _ITEMS[0], _ON_THE_SHELF, price, address))


async def shop_of(world: World, parts: Parts, customers: Sequence[str], items: Sequence[str]) -> SimulatedRuntime:
    """Return a shop with customers who have money, and items in stock; state its invariants."""
    shop = world.runtime(parts)
    world.conserved("money", lambda view: sum(one.balance + sum(one.charges.values()) for one in view.all(Wallet)))
    world.conserved("stock", lambda view: sum(one.free + sum(one.reserved.values()) for one in view.all(Stock)))
    world.always("nothing is below zero", nothing_below_zero)
    world.eventually(
        "every order is confirmed or rejected", lambda view: "placed" not in statuses(view, Order), within_s=_SOON_S
    )
    world.eventually("exactly the paid orders are delivered", who_pays_gets_it, within_s=_SOON_S)
    async with world.calm():
        for customer in customers:
            await shop.send(FillWallet(customer, _MONEY))
        for item in items:
            await shop.send(AddStock(item, _ON_THE_SHELF))
    return shop


async def shop_on_credit(world: World, customers: Sequence[str]) -> SimulatedRuntime:
    """Return a shop that sells on credit; state its invariants."""
    shop = world.runtime([Customer, CreditOrder, CreditCheck, Cancellation])
    world.always("nobody owes more than the limit", within_limit)
    world.eventually(
        "every order is decided", lambda view: "pending" not in statuses(view, CreditOrder), within_s=_SOON_S
    )
    world.eventually("customers owe exactly for approved orders", owed_is_approved, within_s=_SOON_S)
    async with world.calm():
        for customer in customers:
            await shop.send(OpenCustomer(customer, _MONEY))
    return shop


async def order(world: World, shop: SimulatedRuntime, customer: str) -> None:
    """Place orders one after the other, and wait a while for each."""
    for number in range(_ORDERS_EACH):
        name = f"{customer}-{number}"
        item = _ITEMS[world.choose(f"item of {name}", len(_ITEMS))]
        quantity = 1 + world.choose(f"quantity of {name}", 3)
        price = 50 * (1 + world.choose(f"price of {name}", 6))
        address = "Atlantis" if world.choose(f"address of {name}", 5) == 0 else "Prague"
        await shop.send(PlaceOrder(name, customer, item, quantity, price, address))
        await decided(shop, Order, name, "placed")


async def order_on_credit(world: World, shop: SimulatedRuntime, customer: str) -> None:
    """Place orders at once, wait a while for each, and cancel some."""
    names = [f"{customer}-{number}" for number in range(_ORDERS_EACH)]
    for name in names:
        amount = 100 * (1 + world.choose(f"amount of {name}", 8))
        await shop.send(PlaceCreditOrder(name, customer, amount))
    for name in names:
        await decided(shop, CreditOrder, name, "pending")
        if world.choose(f"{name} is cancelled", 2):
            await cancel(shop, name)


async def cancel(shop: SimulatedRuntime, name: str) -> None:
    """Cancel an order if it has been approved."""
    with suppress(Rejected):
        await shop.send(CancelOrder(name))


async def decided(shop: SimulatedRuntime, kind: type[Order] | type[CreditOrder], name: str, until: str) -> None:
    """Wait a while for an order's status to change."""
    for _ in range(_POLLS):
        if (await shop.get(kind, name)).status != until:
            return
        await asyncio.sleep(5)


def statuses(view: View, kind: type[Order] | type[CreditOrder]) -> set[str]:
    """Return the statuses of all orders."""
    return {order.status for order in view.all(kind)}


def nothing_below_zero(view: View) -> bool:
    """Return whether no wallet and no stock is below 0."""
    return all(one.balance >= 0 for one in view.all(Wallet)) and all(one.free >= 0 for one in view.all(Stock))


def who_pays_gets_it(view: View) -> bool:
    """Return whether confirmed orders are charged, reserved and shipped, and other orders are not."""
    confirmed = {order.id for order in view.all(Order) if order.status == "confirmed"}
    return confirmed == kept(view.all(Wallet), "charges") == kept(view.all(Stock), "reserved") == sent(view)


def kept(all_of_them: Iterable[Wallet | Stock], what: str) -> set[str]:
    """Return the orders that something is held for."""
    return {order for one in all_of_them for order in getattr(one, what)}


def sent(view: View) -> set[str]:
    """Return the shipped orders."""
    return {shipment.id for shipment in view.all(Shipment)}


def within_limit(view: View) -> bool:
    """Return whether no customer owes more than the limit."""
    return all(sum(customer.owed.values()) <= customer.limit for customer in view.all(Customer))


def owed_is_approved(view: View) -> bool:
    """Return whether customers owe exactly for their approved orders."""
    approved = {order.id for order in view.all(CreditOrder) if order.status == "approved"}
    return approved == {order for customer in view.all(Customer) for order in customer.owed}
