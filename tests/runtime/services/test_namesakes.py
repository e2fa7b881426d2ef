"""Two logs under one service name: both sides say so, and the later process takes no commands of others."""

import asyncio

from structlog.testing import capture_logs
from support.nats_server import over_nats, shared_server_url
from support.shop_parts import Customer, OpenCustomer
from support.two_services import new_bus
from support.virtual_time import settled, until, virtual

from actorium import Runtime
from actorium.cluster import Cluster
from actorium.runtime.services.statistics import ServiceStatistics
from actorium.services import Client, RemoteService, Service
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore

USED = RemoteService("customers", commands=[OpenCustomer])


def customers(bus: str, store: EventStore, cluster: Cluster | None = None) -> Runtime:
    service = Service("customers", bus=bus, accepts=[OpenCustomer])
    return Runtime([Customer], store=store, service=service, cluster=cluster)


async def log_of(customer: str) -> MemoryStore:
    """A log with one event."""
    store = MemoryStore()
    async with Runtime([Customer], store=store) as runtime:
        await runtime.send(OpenCustomer(customer, 1))
    return store


def state_of(runtime: Runtime) -> ServiceStatistics:
    found = runtime.statistics().service
    assert found is not None
    return found


async def open_ten(bus: str, prefix: str = "c") -> None:
    async with Client(bus, [USED]) as client:
        for number in range(10):
            await client.send(OpenCustomer(f"{prefix}-{number}", 1))


async def two_logs_meet(bus: str) -> None:
    first, second = customers(bus, await log_of("ann")), customers(bus, await log_of("bob"))
    with capture_logs() as lines:
        async with first, second:
            await until(lambda: bool(state_of(first).problem and state_of(second).problem))
            assert "the other process started later and takes no commands" in state_of(first).problem
            assert "this process started later and takes no commands" in state_of(second).problem
            await open_ten(bus)
            assert (state_of(first).asked, state_of(second).asked) == (10, 0)
    there, here = [line for line in lines if line["event"] == "service_name_taken"]
    assert {there["log_level"], here["log_level"]} == {"error"}
    assert (here["here"], here["there"]) == (there["there"], there["here"])
    assert here["here"].startswith("log ")
    assert " pid " in here["here"]
    assert here["here"].split()[1] != here["there"].split()[1]


@virtual
async def test_two_logs_are_named_on_both_sides_and_the_later_process_takes_no_commands() -> None:
    await two_logs_meet(new_bus())


@over_nats
async def test_two_logs_are_named_on_both_sides_over_nats() -> None:
    await two_logs_meet(shared_server_url())


@virtual
async def test_an_empty_log_beside_one_with_events_is_another() -> None:
    bus = new_bus()
    async with customers(bus, await log_of("ann")) as first, customers(bus, MemoryStore()) as second:
        await settled()
        assert "an empty log at " in state_of(first).problem
        assert "an empty log at " in state_of(second).problem


@virtual
async def test_two_empty_logs_are_told_apart_once_one_has_an_event() -> None:
    bus = new_bus()
    async with customers(bus, MemoryStore()) as first, customers(bus, MemoryStore()) as second:
        await settled()
        assert [state_of(first).problem, state_of(second).problem] == ["", ""]
        await open_ten(bus)
        await settled()
        assert all([state_of(first).problem, state_of(second).problem])
        asked = state_of(second).asked
        await open_ten(bus, "d")
        assert state_of(second).asked == asked <= 2


@virtual
async def test_nodes_of_one_log_share_its_name() -> None:
    bus, model = new_bus(), ClusterModel(asyncio.get_running_loop().time)
    a, b = (customers(bus, ClusterModelStore(model), Cluster(node=name)) for name in ("a", "b"))
    async with a, b:
        await open_ten(bus)
        await settled()
        async with customers(bus, ClusterModelStore(model), Cluster(node="c")) as c:
            await settled()
            await open_ten(bus, "d")
            assert all(state_of(one).asked for one in (a, b, c))
            assert not any(state_of(one).problem for one in (a, b, c))


@virtual
async def test_the_service_starts_again_beside_one_that_gave_way() -> None:
    bus, store = new_bus(), await log_of("ann")
    async with customers(bus, store) as first:
        second = customers(bus, await log_of("bob"))
        await second.start()
        await settled()
        assert state_of(first).problem
    async with customers(bus, store) as first:
        await settled()
        await open_ten(bus)
        assert (state_of(first).asked, state_of(second).asked) == (10, 0)
        assert not state_of(first).problem
    await second.stop()
