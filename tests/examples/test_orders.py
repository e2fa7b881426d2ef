"""The shop in both styles: the same domain has the same results, whatever is rejected and wherever it crashes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.stores import FaultyStore
from support.virtual_time import virtual

from actorium import EventStore, NotFound, RecordedEvent, Runtime
from actorium.errors import StoreUnavailable
from actorium.examples.orders.choreography import choreographed
from actorium.examples.orders.domain import (
    AddStock,
    ArrangeShipment,
    FillWallet,
    Order,
    PlaceOrder,
    Shipment,
    Stock,
    Wallet,
)
from actorium.examples.orders.orchestration import Fulfilment, orchestrated

Style = Callable[[str | EventStore], Runtime]
STYLES = [pytest.param(orchestrated, id="orchestration"), pytest.param(choreographed, id="choreography")]

# customer, item, quantity, price, address
GOOD = ("Ann", "teapot", 2, 1_500, "London")
TOO_DEAR = ("Ann", "teapot", 2, 900_000, "London")
TOO_MANY = ("Ann", "teapot", 99, 10, "London")
UNREACHABLE = ("Ann", "teapot", 2, 1_500, "Atlantis")

End = dict[str, Any]


async def prepare(runtime: Runtime) -> None:
    await runtime.send(FillWallet("Ann", 10_000), command_id="fill")
    await runtime.send(AddStock("teapot", 5), command_id="stock")


async def settled(runtime: Runtime, *orders: str) -> None:
    """Return when the orders are confirmed or rejected, and nothing more happens."""
    while "placed" in [(await runtime.get(Order, order)).status for order in orders]:  # noqa: ASYNC110
        await asyncio.sleep(1)
    position = -1
    while position != runtime.statistics().position:
        position = runtime.statistics().position
        await asyncio.sleep(5)


async def end(runtime: Runtime, *orders: str) -> End:
    """Return the visible state of the shop."""
    wallet, stock = await runtime.get(Wallet, "Ann"), await runtime.get(Stock, "teapot")
    state: End = {"wallet": wallet.balance, "charges": wallet.charges, "free": stock.free, "reserved": stock.reserved}
    for order in orders:
        found = await runtime.get(Order, order)
        state[order] = (found.status, found.reason)
        try:
            state[f"shipment of {order}"] = (await runtime.get(Shipment, order)).address
        except NotFound:
            state[f"shipment of {order}"] = None
    return state


UNTOUCHED: End = {"wallet": 10_000, "charges": {}, "free": 5, "reserved": {}, "shipment of o-1": None}
ENDS = [
    pytest.param(
        GOOD,
        {
            "wallet": 7_000,
            "charges": {"o-1": 3_000},
            "free": 3,
            "reserved": {"o-1": 2},
            "o-1": ("confirmed", ""),
            "shipment of o-1": "London",
        },
        id="happy",
    ),
    pytest.param(TOO_DEAR, UNTOUCHED | {"o-1": ("rejected", "payment refused")}, id="payment_refused"),
    pytest.param(TOO_MANY, UNTOUCHED | {"o-1": ("rejected", "out of stock")}, id="out_of_stock"),
    pytest.param(
        UNREACHABLE,
        UNTOUCHED | {"o-1": ("rejected", "no carrier delivers to this address")},
        id="no_shipment_after_payment",
    ),
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("order", "expected"), ENDS)
def test_an_order_ends_done_or_undone(style: Style, order: tuple[Any, ...], expected: End) -> None:
    @virtual
    async def run() -> None:
        async with style("memory://") as runtime:
            await prepare(runtime)
            await runtime.send(PlaceOrder("o-1", *order))
            await settled(runtime, "o-1")
            assert await end(runtime, "o-1") == expected

    run()


@virtual
async def test_many_concurrent_orders_have_possible_results_in_both_styles() -> None:
    names = [f"o-{number}" for number in range(12)]
    for style in (orchestrated, choreographed):
        async with style("memory://") as runtime:
            await prepare(runtime)
            await asyncio.gather(*(runtime.send(PlaceOrder(name, *GOOD)) for name in names))
            await settled(runtime, *names)
            state = await end(runtime, *names)
            confirmed = [name for name in names if state[name][0] == "confirmed"]
            assert (len(confirmed), state["free"]) == (2, 1)
            assert set(state["charges"]) == set(state["reserved"]) == set(confirmed)
            assert state["wallet"] == 10_000 - 3_000 * len(confirmed)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("order", "expected"), ENDS)
def test_a_crash_after_any_commit_changes_no_result(style: Style, order: tuple[Any, ...], expected: End) -> None:
    crashes = 0

    @virtual
    async def run() -> None:
        nonlocal crashes
        for commits in range(1, 100):
            store = FaultyStore()
            left = commits

            def fault() -> Any:
                nonlocal left
                left -= 1
                return "none" if left >= 0 else "before"

            store.next_fault = fault
            await _until_the_store_is_gone(style, store, order)
            crashes += left < 0
            store.next_fault = lambda: "none"
            async with style(store) as runtime:
                await prepare(runtime)
                await runtime.send(PlaceOrder("o-1", *order), command_id="place")
                await settled(runtime, "o-1")
                assert await end(runtime, "o-1") == expected, f"after {commits} commits"
            if left >= 0:
                return

    run()
    assert crashes > 5


async def _until_the_store_is_gone(style: Style, store: FaultyStore, order: tuple[Any, ...]) -> None:
    """Run for a while; after some commit, nothing more is written."""
    runtime = style(store)
    try:
        async with runtime:
            await prepare(runtime)
            await runtime.send(PlaceOrder("o-1", *order), command_id="place", timeout_s=1.0)
            await asyncio.sleep(1)
    except StoreUnavailable:
        pass


@virtual
async def test_the_path_of_a_saga_can_be_read() -> None:
    async with orchestrated() as runtime:
        await prepare(runtime)
        await runtime.send(PlaceOrder("o-1", *UNREACHABLE))
        await settled(runtime, "o-1")
        saga = await runtime.sagas.get(Fulfilment, "o-1")
        assert (saga.status, saga.reason) == ("undone", "no carrier delivers to this address")
        sent = [line.text.partition(": sends ")[2] for line in saga.history if ": sends " in line.text]
    assert sent == [
        "Charge to 'Ann'",
        "ReserveStock to 'teapot'",
        "ArrangeShipment to 'o-1'",
        "ReleaseStock to 'teapot'",
        "Refund to 'Ann'",
        "RejectOrder to 'o-1'",
    ]


@virtual
async def test_an_event_delivered_twice_has_one_effect() -> None:
    async with choreographed() as runtime:
        await prepare(runtime)
        await runtime.send(PlaceOrder("o-1", *GOOD))
        await settled(runtime, "o-1")
        before, position = await end(runtime, "o-1"), runtime.statistics().position
        for processor in runtime.processors.values():
            if processor.name.startswith("reaction"):
                await processor.reset()
        await asyncio.sleep(100)
        assert (await end(runtime, "o-1"), runtime.statistics().position) == (before, position)


@virtual
async def test_a_rejected_order_stays_rejected_when_its_events_come_again_and_the_goods_have_arrived() -> None:
    async with choreographed() as runtime:
        await prepare(runtime)
        await runtime.send(PlaceOrder("o-1", *TOO_MANY))
        await settled(runtime, "o-1")
        await runtime.send(AddStock("teapot", 100))
        before, position = await end(runtime, "o-1"), runtime.statistics().position
        for processor in runtime.processors.values():
            await processor.reset()
        await asyncio.sleep(100)
        assert (await end(runtime, "o-1"), runtime.statistics().position) == (before, position)


@virtual
async def test_everything_about_an_order_is_found_by_its_correlation_id() -> None:
    async with choreographed() as runtime:
        await prepare(runtime)
        await runtime.send(PlaceOrder("o-1", *GOOD))
        await settled(runtime, "o-1")
        assert await _admission(runtime, "o-1") == ["Charged", "StockReserved", "ShipmentArranged", "OrderConfirmed"]


async def _admission(runtime: Runtime, correlation_id: str) -> list[str]:
    last = runtime.statistics().position
    found: list[RecordedEvent[Any]] = []
    async for recorded in runtime.events():
        if recorded.metadata.correlation_id == correlation_id:
            found.append(recorded)
        if recorded.position >= last:
            break
    return [type(recorded.event).__name__ for recorded in found]


@virtual
async def test_a_shipment_is_arranged_once() -> None:
    async with orchestrated() as runtime:
        await runtime.send(ArrangeShipment("o-1", "London"))
        assert (await runtime.send(ArrangeShipment("o-1", "Paris"))).events == ()
