"""What a console shows of an application's surroundings: services, outlets and inboxes, schedules, nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.bank import Tally
from support.consoles import ConsoleClient, client_of, console_of
from support.market import HELD_S, market
from support.postgres import new_log
from support.shop_parts import Customer, OpenCustomer, PlaceOrder, customers
from support.two_services import DeafBus, new_bus
from support.virtual_time import settled, virtual

from actorium import Runtime
from actorium.cluster import Cluster
from actorium.errors import CommandTimeout, ServiceUnavailable
from actorium.services import Service
from actorium.store.source import SystemSource
from actorium.testing import LoopSource

OPERATE, VIEW = "operate-token-of-16", "viewer-token-of-16"


@asynccontextmanager
async def open_market(token: str = OPERATE) -> AsyncIterator[tuple[Runtime, ConsoleClient]]:
    """Run both services, and open a client of the console of orders."""
    orders, home = market(source=LoopSource())
    async with home, orders, client_of(console_of(orders), token) as client:
        await settled()
        yield orders, client


@virtual
async def test_the_services_around_an_application_are_shown_with_circuits_and_contracts() -> None:
    async with open_market(VIEW) as (_, client):
        found = await client.get("services")
        assert (found["name"], found["is_connected"], found["accepts"]) == ("orders", True, ["PlaceOrder"])
        (peer,) = found["peers"]
        assert (peer["name"], peer["is_known"], peer["circuit"], peer["problems"]) == ("customers", True, "closed", {})
        assert peer["events"] == ["CreditReserved", "CustomerOpened"]
        app = await client.get("map")
        assert ("service", "customers") in {(one["kind"], one["name"]) for one in app["nodes"]}
        flows = {(one["source"], one["target"]): one["event_types"] for one in app["edges"]}
        assert flows["customers", "Limits"] == ["CustomerOpened"]


@virtual
async def test_an_open_circuit_is_shown_until_the_service_answers_again() -> None:
    name = SystemSource().new_id()
    bus = DeafBus(name)
    home = Runtime([Customer], store="memory://", service=Service("customers", bus=bus, accepts=[OpenCustomer]))
    orders = Runtime([Tally, customers()], store="memory://", service=Service("orders", bus=f"memory://{name}"))
    async with home, orders, client_of(console_of(orders), VIEW) as client:

        async def shown() -> str:
            (peer,) = (await client.get("services"))["peers"]
            return str(peer["circuit"])

        await settled()
        bus.deaf = True
        for number in range(5):
            assert await shown() == "closed"
            with pytest.raises(CommandTimeout):
                await orders.send(OpenCustomer(f"c-{number}", 100), timeout_s=1.0)
        assert await shown() == "open"
        with pytest.raises(ServiceUnavailable, match="customers did not answer 5 commands in a row"):
            await orders.send(OpenCustomer("c-9", 100))
        await asyncio.sleep(1.1)
        with pytest.raises(CommandTimeout):  # one command tries, and finds nobody
            await orders.send(OpenCustomer("c-9", 100), timeout_s=1.0)
        with pytest.raises(ServiceUnavailable, match="6 commands in a row"):
            await orders.send(OpenCustomer("c-9", 100))
        bus.deaf = False
        await asyncio.sleep(2.1)
        assert await shown() == "open"
        await orders.send(OpenCustomer("d-1", 100))
        assert await shown() == "closed"


@virtual
async def test_a_contract_that_differs_is_seen_on_both_sides() -> None:
    bus = new_bus()
    home = Runtime([Tally], store="memory://", service=Service("customers", bus=bus))
    orders = Runtime([Tally, customers()], store="memory://", service=Service("orders", bus=bus))
    async with home, orders, client_of(console_of(orders)) as _, client_of(console_of(orders), VIEW) as client:
        await settled()
        (peer,) = (await client.get("services"))["peers"]
        assert set(peer["problems"]) >= {"OpenCustomer", "CustomerOpened"}
        async with client_of(console_of(home), VIEW) as other:
            (guest,) = (await other.get("services"))["guests"]
            assert guest["name"] == "orders"
            assert len(guest["problems"]) == len(peer["problems"])


@virtual
async def test_held_events_are_listed_and_recalled_before_they_are_handed_out() -> None:
    async with open_market() as (orders, client):
        await orders.send(PlaceOrder("o-1", "alice", 1))
        await orders.send(PlaceOrder("o-2", "alice", 1))
        await settled()
        channels = {one["name"]: one for one in (await client.get("outlets"))["channels"]}
        assert {one["kind"] for one in channels.values()} == {"outlet", "inbox"}
        outlet = channels["warehouse"]
        assert (outlet["hold_s"], outlet["types"], outlet["lag_events"]) == (HELD_S, ["OrderPlaced"], 2)
        held = (await client.get("held", processor=outlet["processor"]))["events"]
        assert [one["stream_id"] for one in held] == ["o-1", "o-2"]
        targets = [{"processor": outlet["processor"], "position": position} for position in (held[0]["position"], 99)]
        report = await client.post("outlets/recall", targets=targets, reason="a wrong price")
        assert [bool(one["error"]) for one in report["outcomes"]] == [False, True]
        discarded = (await client.get("dead-letters", discarded=True))["dead_letters"]
        assert [(one["stream_id"], one["discarded"]) for one in discarded] == [("o-1", "ann: a wrong price")]
        await client.get("held", 404, processor="nobody")


@virtual
async def test_schedules_are_listed_paused_resumed_and_run_now() -> None:
    async with open_market() as (orders, client):
        (row,) = (await client.get("schedules"))["schedules"]
        assert (row["name"], row["every"], row["time_zone"], row["paused"]) == ("nightly", "every 3600 s", "UTC", False)
        report = await client.post("schedules/pause", names=["nightly", "nobody"], reason="the shop moves")
        assert [bool(one["error"]) for one in report["outcomes"]] == [False, True]
        (row,) = (await client.get("schedules"))["schedules"]
        assert (row["paused"], row["reason"], row["next_due"]) == (True, "ann: the shop moves", None)
        before = orders.statistics().acknowledged
        await client.post("schedules/run-now", names=["nightly"], reason="by hand")
        await settled()
        assert orders.statistics().acknowledged > before
        await client.post("schedules/resume", names=["nightly"], reason="it has moved")
        again = await client.post("schedules/resume", names=["nightly"], reason="it has moved")
        assert again["outcomes"][0]["error"] == "it was not paused"


@virtual
async def test_a_viewer_may_do_none_of_this() -> None:
    async with open_market(VIEW) as (orders, client):
        await settled()
        position = orders.statistics().position
        for path, body in (
            ("schedules/pause", {"names": ["nightly"]}),
            ("schedules/run-now", {"names": ["nightly"]}),
            ("outlets/recall", {"targets": [{"processor": "x", "position": 1}]}),
        ):
            await client.post(path, 403, reason="x", **body)
        assert orders.statistics().position == position


@virtual
async def test_a_causation_tree_goes_on_to_the_event_of_another_service() -> None:
    async with open_market() as (orders, client):
        await orders.send(OpenCustomer("alice", 10), correlation_id="flow-1")
        await orders.send(PlaceOrder("o-1", "alice", 1), correlation_id="flow-1")
        await settled()
        events = (await client.get("events"))["events"]
        gift = next(one for one in events if one["stream_id"] == "gift-alice")
        tree = await client.get("causes", event_id=gift["id"])
        assert tree["causes"][0]["type"] == "CustomerOpened"
        assert tree["origin"] == {"service": "customers", "id": "Customer/alice/1"}
        other = await client.get("causes", event_id="Order/o-1/1")
        assert [one["type"] for one in other["from_services"]] == ["CustomerOpened"]
        assert other["origin"] is None


def test_the_nodes_of_a_cluster_are_shown_with_what_they_own() -> None:
    async def run(url: str) -> Any:
        async with (
            Runtime([Tally], store=url, cluster=Cluster(node="a", code="1.2")) as runtime,
            client_of(console_of(runtime), VIEW) as client,
        ):
            return await client.get("nodes")

    with new_log() as url:
        found = asyncio.run(run(url))
    (node,) = found["nodes"]
    assert (node["name"], node["state"], node["code"], node["shards"]) == ("a", "serving", "1.2", 1024)
    assert found["shards"] == [{"first": 0, "last": 1023, "node": "a"}]
