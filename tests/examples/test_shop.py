"""The shop of three services: an order is approved with its credit and shipment, or nothing of it is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient
from support.command_line import output
from support.virtual_time import virtual

from actorium import Runtime
from actorium.errors import NotFound
from actorium.examples.shop.customers import Customer, customers
from actorium.examples.shop.messages import OpenCustomer, PlaceOrder
from actorium.examples.shop.orders import CreditUsed, FillOrder, Order, orders
from actorium.examples.shop.serve import create_app
from actorium.examples.shop.shipping import OUT_OF_REACH, Shipment, shipping
from actorium.store.source import SystemSource


@asynccontextmanager
async def shop() -> AsyncIterator[tuple[Runtime, Runtime, Runtime]]:
    bus = f"memory://{SystemSource().new_id()}"
    services = [make(bus, "memory://") for make in (orders, customers, shipping)]
    async with services[0], services[1], services[2]:
        await services[1].send(OpenCustomer("c-1", 1_000))
        yield services[0], services[1], services[2]


@virtual
async def test_an_order_is_approved_with_its_credit_and_its_shipment() -> None:
    async with shop() as (here, there, ships):
        await here.send(PlaceOrder("o-1", "c-1", 400, "street 1"))
        assert (await here.sagas.get(FillOrder, "o-1", ended_within_s=60)).status == "completed"
        assert (await here.get(Order, "o-1")).status == "approved"
        assert (await there.get(Customer, "c-1")).reserved == {"o-1": 400}
        assert (await ships.get(Shipment, "o-1")).status == "arranged"


@virtual
async def test_an_order_over_the_limit_or_out_of_reach_leaves_nothing_behind() -> None:
    async with shop() as (here, there, ships):
        await here.send(PlaceOrder("o-1", "c-1", 1_001, "street 1"))
        await here.send(PlaceOrder("o-2", "c-1", 400, OUT_OF_REACH))
        for order, reason in (("o-1", "over the credit limit"), ("o-2", "nobody delivers there")):
            assert (await here.sagas.get(FillOrder, order, ended_within_s=60)).status == "undone"
            assert (await here.get(Order, order)).reason == reason
        assert (await there.get(Customer, "c-1")).reserved == {}
        with pytest.raises(NotFound):
            await ships.get(Shipment, "o-2")


@virtual
async def test_the_orders_know_the_credit_used_from_the_events_of_the_customers() -> None:
    async with shop() as (here, _, __):
        await here.send(PlaceOrder("o-1", "c-1", 400, "street 1"))
        await here.sagas.get(FillOrder, "o-1", ended_within_s=60)
        await asyncio.sleep(1.0)
        assert await here.query(CreditUsed.of, "c-1") == 400


@virtual
async def test_each_service_answers_over_http() -> None:
    bus = f"memory://{SystemSource().new_id()}"
    apps = {name: create_app(name, bus, "memory://") for name in ("orders", "customers", "shipping")}
    async with (
        apps["orders"].router.lifespan_context(apps["orders"]),
        apps["customers"].router.lifespan_context(apps["customers"]),
        apps["shipping"].router.lifespan_context(apps["shipping"]),
    ):
        web = {name: AsyncClient(transport=ASGITransport(app), base_url=f"http://{name}") for name, app in apps.items()}
        assert (await web["customers"].post("/customers/c-1", json={"limit": 1_000})).status_code == 201
        order = {"customer": "c-1", "amount": 400, "address": "street 1"}
        assert (await web["orders"].post("/orders/o-1", json=order)).status_code == 202
        await asyncio.sleep(5.0)
        assert (await web["orders"].get("/unfinished")).json() == {"running": 0, "stuck": 0}
        assert (await web["orders"].get("/orders/o-1")).json()["status"] == "approved"
        assert (await web["customers"].get("/customers/c-1")).json()["reserved"] == {"o-1": 400}
        assert (await web["shipping"].get("/shipments/o-1")).json() == {"status": "arranged"}
        assert (await web["orders"].get("/orders/o-2")).status_code == 404
        assert (await web["orders"].post("/orders/o-3", json={**order, "amount": 0})).status_code == 409
        state = (await web["orders"].get("/state")).json()
        assert state["processors"]["inbox customers"][0] == "running"
        for one in web.values():
            await one.aclose()


def test_the_demonstration_kills_each_process_once_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "demo", "services", "--orders", "60")
    assert code == 0, out + err
    assert "killed and started again: shipping, customers, orders, the bus" in out
    assert "60 orders: " in out
    assert "each arrived once" in out
