"""Customers and orders: approved or rejected by the customer's credit, which concurrent orders never exceed."""

import asyncio

import pytest
from support.stores import FaultyStore
from support.virtual_time import virtual

from actorium import Rejected, Runtime
from actorium.errors import StoreUnavailable
from actorium.examples.orders.credit import (
    CancelOrder,
    CreditOrder,
    CreditReleased,
    CreditReserved,
    Customer,
    OpenCustomer,
    PlaceCreditOrder,
    customers_and_orders,
)


async def decided(runtime: Runtime, *orders: str) -> list[str]:
    """Return the status of each order when none is pending."""
    while True:
        found = [(await runtime.get(CreditOrder, order)).status for order in orders]
        if "pending" not in found:
            await asyncio.sleep(5)
            return found
        await asyncio.sleep(1)


async def owed_at_each_position(runtime: Runtime, customer: str) -> list[int]:
    owed: dict[str, int] = {}
    sums = []
    last = runtime.statistics().position
    async for recorded in runtime.events():
        if recorded.stream_id == customer:
            match recorded.event:
                case CreditReserved(order=order, amount=amount):
                    owed[order] = amount
                case CreditReleased(order=order):
                    del owed[order]
            sums.append(sum(owed.values()))
        if recorded.position >= last:
            break
    return sums


@virtual
async def test_an_order_within_the_limit_is_approved_and_one_beyond_it_rejected() -> None:
    async with customers_and_orders() as runtime:
        await runtime.send(OpenCustomer("c", 1_000))
        await runtime.send(PlaceCreditOrder("o-1", "c", 600))
        assert await decided(runtime, "o-1") == ["approved"]
        await runtime.send(PlaceCreditOrder("o-2", "c", 600))
        assert await decided(runtime, "o-2") == ["rejected"]
        assert (await runtime.get(CreditOrder, "o-2")).reason == "credit limit exceeded"
        assert (await runtime.get(Customer, "c")).owed == {"o-1": 600}


@virtual
async def test_an_order_of_an_unknown_customer_is_rejected() -> None:
    async with customers_and_orders() as runtime:
        await runtime.send(PlaceCreditOrder("o-1", "nobody", 1))
        assert await decided(runtime, "o-1") == ["rejected"]
        assert "nobody" in (await runtime.get(CreditOrder, "o-1")).reason


@virtual
async def test_a_cancelled_order_releases_credit_for_another() -> None:
    async with customers_and_orders() as runtime:
        await runtime.send(OpenCustomer("c", 1_000))
        await runtime.send(PlaceCreditOrder("o-1", "c", 1_000))
        await decided(runtime, "o-1")
        await runtime.send(CancelOrder("o-1"))
        await asyncio.sleep(5)
        await runtime.send(PlaceCreditOrder("o-2", "c", 1_000))
        assert await decided(runtime, "o-1", "o-2") == ["cancelled", "approved"]
        with pytest.raises(Rejected, match="only an approved order"):
            await runtime.send(CancelOrder("o-1"))


@virtual
async def test_concurrent_orders_never_exceed_the_limit() -> None:
    orders = [f"o-{number}" for number in range(200)]
    async with customers_and_orders() as runtime:
        await runtime.send(OpenCustomer("c", 1_000))
        await asyncio.gather(
            *(runtime.send(PlaceCreditOrder(order, "c", 1 + number % 7 * 10)) for number, order in enumerate(orders))
        )
        statuses = await decided(runtime, *orders)
        assert set(statuses) == {"approved", "rejected"}
        sums = await owed_at_each_position(runtime, "c")
        assert max(sums) <= 1_000
        owed = (await runtime.get(Customer, "c")).owed
        assert set(owed) == {order for order, status in zip(orders, statuses, strict=True) if status == "approved"}


@virtual
async def test_a_crash_after_any_commit_leaves_no_order_undecided() -> None:
    for commits in range(1, 60):
        store = FaultyStore()
        left = commits

        def after_some() -> str:
            nonlocal left
            left -= 1
            return "none" if left >= 0 else "before"

        store.next_fault = after_some  # type: ignore[assignment]
        try:
            async with customers_and_orders(store) as runtime:
                await runtime.send(OpenCustomer("c", 1_000), command_id="open")
                for order in ("o-1", "o-2"):
                    await runtime.send(PlaceCreditOrder(order, "c", 600), command_id=order)
                await asyncio.sleep(1)
        except StoreUnavailable:
            pass
        store.next_fault = lambda: "none"
        async with customers_and_orders(store) as runtime:
            await runtime.send(OpenCustomer("c", 1_000), command_id="open")
            for order in ("o-1", "o-2"):
                await runtime.send(PlaceCreditOrder(order, "c", 600), command_id=order)
            assert sorted(await decided(runtime, "o-1", "o-2")) == ["approved", "rejected"], commits
            assert sum((await runtime.get(Customer, "c")).owed.values()) == 600
        if left >= 0:
            return
    raise AssertionError("the run never came to its end")
