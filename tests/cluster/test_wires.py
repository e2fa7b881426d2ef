"""Nodes over each wire: the database alone, and a real NATS server that is killed, absent, or too small."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.bank import Add, Tally
from support.nats_server import TEST_S, over_nats
from support.postgres import new_log

from actorium import Aggregate, Command, Event, Runtime, decide, evolve
from actorium.cluster import Cluster
from actorium.errors import ConfigurationError
from actorium.runtime.bus.buses.nats import NatsBus
from actorium.runtime.cluster.bus_wire import BusWire
from actorium.testing.nats_server import NatsServer, own_nats_server

IDS = [f"t{n}" for n in range(24)]


class Write(Command):
    text: str


class Written(Event):
    text: str


class Page(Aggregate):
    length: int = 0

    @decide
    def write(self, command: Write) -> Written:
        return Written(command.text)

    @evolve
    def written(self, event: Written) -> None:
        self.length = len(event.text)


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a new log; its lease is so long that a busy machine lets none run out."""
    with new_log(lease_s="30") as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    """A NATS server that the tests of this module kill and start again."""
    with own_nats_server() as started:
        yield started


@pytest.fixture(params=["database", "nats"])
def wire(request: pytest.FixtureRequest) -> str:
    """The URL of each wire."""
    if request.param == "database":
        return ""
    started: NatsServer = request.getfixturevalue("server")
    return started.url()


@asynccontextmanager
async def two_nodes(url: str, *wires: str) -> AsyncIterator[tuple[Runtime, Runtime]]:
    """Two nodes that each own a part of the shards; the wires of both."""
    a, b = (
        Runtime([Tally, Page], store=url, cluster=Cluster(node=n, wire=w)) for n, w in zip("ab", wires, strict=True)
    )
    async with a, b:
        await until(lambda: min(served(a), served(b)) > 0)
        yield a, b


def served(runtime: Runtime) -> int:
    assert runtime._node is not None
    return len(runtime._node.directory.served)


def bus_wire(runtime: Runtime) -> BusWire:
    assert runtime._node is not None
    wire = runtime._node._wire
    assert isinstance(wire, BusWire)
    return wire


def remote(runtime: Runtime) -> Any:
    assert runtime._node is not None
    return runtime._node._remote


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (other tasks, and a server in another process)
            await asyncio.sleep(0.01)


async def send_to_all(runtime: Runtime, amount: int = 1) -> None:
    await asyncio.gather(*(runtime.send(Add(id, amount)) for id in IDS))


async def totals(runtime: Runtime) -> list[int]:
    return [(await runtime.get(Tally, id)).total for id in IDS]


@over_nats
async def test_commands_take_effect_once_over_each_wire(url: str, wire: str) -> None:
    async with two_nodes(url, wire, wire) as (a, b):
        for node in (a, b, a):
            await send_to_all(node)
        assert await totals(b) == [3] * len(IDS)
        assert remote(a).asked > 0
        if wire:
            assert bus_wire(a).frames > 0
            assert bus_wire(a).detours == 0
        again = [await (a, b)[n % 2].send(Add("t1", 1), command_id="same") for n in range(4)]
        assert [ack.duplicate for ack in again] == [False, True, True, True]


@over_nats
async def test_large_commands_arrive_over_each_wire(url: str, wire: str) -> None:
    large = "ä€" * 180_000  # more than a message of NATS or a notification may hold
    async with two_nodes(url, wire, wire) as (a, _):
        for id in IDS[:4]:
            ack = await a.send(Write(id, large))
            assert ack.events == (Written(large),)


@over_nats
async def test_a_cluster_starts_and_works_while_nats_is_away(url: str) -> None:
    with own_nats_server() as server:
        server.stop()
        with capture_logs() as lines:
            async with two_nodes(url, server.url(), server.url()) as (a, b):
                await send_to_all(a)
                await send_to_all(b)
                assert bus_wire(a).frames == 0
                server.start()
                await until(lambda: bus_wire(a)._bus.is_connected and bus_wire(b)._bus.is_connected)
                rounds = 2
                while bus_wire(a).frames == 0:  # it may doubt the other node for some seconds
                    await send_to_all(a)
                    rounds += 1
                assert await totals(b) == [rounds] * len(IDS)
        assert {"wire_down", "wire_up"} <= {line["event"] for line in lines}


@over_nats
async def test_a_server_that_is_killed_and_comes_back_fails_no_command(url: str) -> None:
    with own_nats_server() as server:
        async with two_nodes(url, server.url(), server.url()) as (a, b):
            stop = asyncio.Event()
            sent = [0, 0]

            async def load(index: int, node: Runtime) -> None:
                while not stop.is_set():
                    await send_to_all(node)
                    sent[index] += 1

            loads = [asyncio.create_task(load(*one)) for one in enumerate((a, b))]
            for _ in range(2):
                for change in (server.kill, server.start):
                    change()
                    aim = [count + 3 for count in sent]
                    await until(lambda aim=aim: all(map(int.__ge__, sent, aim)))  # type: ignore[misc]
                await until(lambda: bus_wire(a)._bus.is_connected and bus_wire(b)._bus.is_connected)
            stop.set()
            await asyncio.gather(*loads)
            assert await totals(a) == [sum(sent)] * len(IDS)
            assert bus_wire(a).detours > 0


@over_nats
async def test_a_node_without_the_bus_is_reached_through_the_database(url: str, server: NatsServer) -> None:
    async with two_nodes(url, server.url(), "") as (a, b):
        await send_to_all(a)
        await send_to_all(b)
        assert bus_wire(a).frames == 0
        assert await totals(b) == [2] * len(IDS)


@over_nats
async def test_a_node_that_left_the_bus_is_reached_at_once(url: str, server: NatsServer) -> None:
    async with two_nodes(url, server.url(), server.url()) as (a, b):
        await send_to_all(a)
        bus = bus_wire(b)._bus
        assert isinstance(bus, NatsBus)
        assert bus._client is not None
        bus._servers = ["nats://127.0.0.1:1"]  # as if only this node's way to the server were cut
        await bus._client.close()
        await until(lambda: not bus.is_connected)
        # A third of this time, after which commands are repeated anyway, is longer than this test may take.
        await asyncio.gather(*(a.send(Add(id, 1), timeout_s=9 * TEST_S) for id in IDS))
        assert await totals(b) == [2] * len(IDS)


@over_nats
async def test_frames_that_vanish_are_repeated_through_the_database(url: str, server: NatsServer) -> None:
    async with two_nodes(url, server.url(), server.url()) as (a, b):

        async def vanish(*message: Any) -> None:
            pass

        bus_wire(a)._bus.publish = vanish  # type: ignore[method-assign]  # a dead connection looks alive for a while
        await asyncio.gather(*(a.send(Add(id, 1), timeout_s=9) for id in IDS))
        assert remote(a).repeated > 0
        assert await totals(b) == [1] * len(IDS)


@over_nats
async def test_a_server_with_small_messages_slows_large_commands_only(url: str) -> None:
    with own_nats_server(max_payload=20_000) as server:
        async with two_nodes(url, server.url(), server.url()) as (a, _):
            for id in IDS:
                await a.send(Write(id, "x" * 30_000))
            detours = bus_wire(a).detours
            assert detours > 0
            await send_to_all(a)
            assert bus_wire(a).detours == detours


@over_nats
async def test_refused_credentials_are_an_error_of_the_program(url: str) -> None:
    with own_nats_server(authorization={"user": "app", "password": "right"}) as server:
        node = Runtime([Tally], store=url, cluster=Cluster(node="a", wire=server.url("app:wrong")))
        with pytest.raises(ConfigurationError, match="refused node a"):
            await node.start()


@pytest.mark.parametrize("wrong", ["http://host", "nats://", "nats://host:x", "nats://host?unknown=1", 5, None, b""])
def test_a_wrong_wire_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Cluster\(wire=…\): bus"):
        Cluster(node="a", wire=wrong)


def test_a_wire_may_be_a_bus_with_options_of_its_own() -> None:
    bus = NatsBus("nats://localhost:4222", token="secret")
    Runtime([Tally], store="postgresql://localhost/x", cluster=Cluster(node="a", wire=bus))
