"""Both buses meet the contract of every bus; the one on NATS survives its server, and says what it lost."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest
from structlog.testing import capture_logs
from support.nats_server import over_nats, shared_server_url

from actorium.errors import ConfigurationError
from actorium.runtime.bus.bus import Bus, BusMessage, StreamEnds
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.runtime.bus.buses.nats import NatsBus
from actorium.runtime.bus.urls import open_bus
from actorium.runtime.errors import ServiceUnavailable
from actorium.store.source import SystemSource
from actorium.testing import BusContract
from actorium.testing.contract_bus import BusLog
from actorium.testing.nats_server import own_nats_server


class TestMemoryBus(BusContract):
    @pytest.fixture
    def new_bus(self) -> Callable[[], Bus]:
        first = MemoryBus("contract")  # keeps the streams while buses come and go
        return lambda: first and MemoryBus("contract")


class TestNatsBus(BusContract):
    @pytest.fixture
    def new_bus(self) -> Callable[[], Bus]:
        url = shared_server_url()
        return lambda: open_bus(url)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (a server in another process)
            await asyncio.sleep(0.01)


async def opened(url: str, watcher: BusLog | None = None) -> Bus:
    bus = open_bus(url)
    await bus.open("tester", watcher or BusLog())
    return bus


@over_nats
async def test_it_comes_back_with_its_subscriptions_when_the_server_does() -> None:
    with own_nats_server() as server:
        watcher = BusLog()
        bus = await opened(server.url(fsync="yes"), watcher)
        received: list[BusMessage] = []
        await bus.subscribe("here", received.append)
        assert await bus.append("stream", b"kept", after=0) == 1
        server.kill()
        await until(lambda: not bus.is_connected and watcher.disconnections == 1)
        with pytest.raises(ServiceUnavailable, match="is not connected"):
            await bus.publish("here", b"lost")
        with pytest.raises(ServiceUnavailable):
            await bus.read("stream", 0)
        server.start()
        await until(lambda: bus.is_connected)
        assert watcher.connections == 2
        await bus.publish("here", b"arrives")
        await until(lambda: bool(received))
        assert received[0].data == b"arrives"
        assert await bus.ends("stream") == StreamEnds(1, 1)
        await bus.close()


@over_nats
async def test_it_comes_back_when_a_connection_ends_with_messages_that_were_not_sent() -> None:
    with own_nats_server() as server:
        watcher = BusLog()
        bus = await opened(server.url(fsync="yes"), watcher)
        received: list[BusMessage] = []
        await bus.subscribe("here", received.append)
        for restart in range(1, 6):
            server.kill()
            server.start()
            while bus.is_connected and watcher.connections == restart:
                await bus.publish("nobody", b"lost")
                await asyncio.sleep(0)
            await until(lambda: bus.is_connected)
            assert watcher.connections == restart + 1
            await bus.publish("here", b"arrives")
            await until(lambda awaited=restart: len(received) == awaited)  # type: ignore[misc]
        await bus.close()


@over_nats
async def test_it_opens_without_a_server_and_connects_when_there_is_one() -> None:
    with own_nats_server() as server:
        server.stop()
        bus = await opened(server.url())
        assert not bus.is_connected
        received: list[BusMessage] = []
        await bus.subscribe("here", received.append)
        server.start()
        await until(lambda: bus.is_connected)
        await bus.publish("here", b"arrives")
        await until(lambda: bool(received))
        await bus.close()


@over_nats
async def test_a_receiver_that_was_too_slow_is_told() -> None:
    watcher = BusLog()
    bus = await opened(shared_server_url(), watcher)
    assert isinstance(bus, NatsBus)
    received: list[BusMessage] = []
    await bus.subscribe("slow.subject", received.append)
    (subscription,) = bus.subscriptions
    subscription._live._pending_bytes_limit = 10  # as if its task had not run for long
    await bus.publish("slow.subject", b"more than ten bytes")
    await until(lambda: bool(watcher.losses))
    assert "slow.subject" in watcher.losses[0]
    assert received == []
    await bus.close()


@over_nats
async def test_credentials_are_passed_on_and_a_refusal_is_an_error_of_the_program() -> None:
    with own_nats_server(authorization={"user": "app", "password": "right"}) as server:
        bus = await opened(server.url("app:right"))
        assert bus.is_connected
        assert "right" not in bus.describe()
        await bus.close()
        with pytest.raises(ConfigurationError, match="refused tester") as caught:
            await opened(server.url("app:wrong"))
        assert "wrong" not in str(caught.value)


@over_nats
@pytest.mark.parametrize("declared", [True, False])
async def test_a_bus_that_may_lose_events_is_warned_about_loudly(declared: bool) -> None:
    bus = await opened(shared_server_url() if declared else shared_server_url().partition("?")[0])
    stream = f"durability.{SystemSource().new_id()}"
    with capture_logs() as lines:
        for number in range(2):
            await bus.append(stream, b"", after=number)
    warnings = [line for line in lines if line["event"] == "jetstream_may_lose_events"]
    assert len(warnings) == (0 if declared else 1)
    assert all(line["log_level"] == "error" and "sync_interval: always" in line["remedy"] for line in warnings)
    await bus.close()


@over_nats
async def test_an_outage_is_logged_once_however_often_the_bus_tries_to_connect() -> None:
    with own_nats_server() as server:
        bus = await opened(server.url())
        assert isinstance(bus, NatsBus)
        tries, tried_often, connect = 0, asyncio.Event(), bus._connect

        async def counted(client: Any) -> None:
            nonlocal tries
            tries += 1
            if tries == 3:
                tried_often.set()
            await connect(client)

        bus._connect = counted  # type: ignore[method-assign]
        with capture_logs() as lines:
            server.stop()
            async with asyncio.timeout(30):
                await tried_often.wait()
        await bus.close()
    assert [line["event"] for line in lines].count("bus_unavailable") == 1


@over_nats
async def test_a_stream_that_may_not_be_read_directly_says_so() -> None:
    bus = await opened(shared_server_url())
    assert isinstance(bus, NatsBus)
    assert bus._client is not None
    await bus._client.jetstream().add_stream(name="closed-stream", subjects=["closed.stream"])
    await bus.append("closed.stream", b"entry", after=0)
    with pytest.raises(ServiceUnavailable, match="allow_direct"):
        await bus.read("closed.stream", 0)
    await bus.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nats:/localhost", "not a URL of a bus"),
        ("amqp://localhost", "not a URL of a bus"),
        ("nats://", "not a URL of a bus"),
        ("nats://host:x", "'host:x' is not a server; write host:port"),
        ("nats://user:pw@host:99999", "bus 'nats://host:99999': 'host:99999' is not a server"),
        ("nats://one:4222,", "'' is not a server"),
        ("nats://one/path", "'one/path' is not a server"),
        ("memory://", "has a name"),
        ("memory://x?fsync=yes", "no options"),
        ("nats://me:secret@host?fsyncs=yes", "no option 'fsyncs'"),
        ("nats://host?fsync=perhaps", "must be yes or no"),
        ("nats://host?replicas=0", "a number from 1 to 5"),
        ("tls://host?tls_ca=/nowhere/ca.pem", "tls_ca='/nowhere/ca.pem' cannot be read"),
        (f"tls://host?tls_ca={__file__}", "certificates cannot be read"),
        ("nats://host?creds=/nowhere/app.creds", "creds='/nowhere/app.creds' cannot be read"),
        (f"nats://host?nkey={__file__}", r"nkey= needs the package nkeys: pip install 'nats-py\[nkeys\]'"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_bus(url)
    assert "secret" not in str(caught.value)


def test_anything_else_is_not_a_bus() -> None:
    wrong: Any = 7
    with pytest.raises(ConfigurationError, match="neither a URL nor a Bus"):
        open_bus(wrong)


def test_a_url_names_all_servers_and_passes_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nkeys.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    credentials = tmp_path / "app.creds"
    credentials.touch()
    bus = open_bus(f"nats://user:pw@one:4222,two:4222?creds={credentials}&fsync=yes&replicas=3")
    assert isinstance(bus, NatsBus)
    assert bus._servers == ["nats://user:pw@one:4222", "nats://user:pw@two:4222"]
    assert bus._options == {"user_credentials": str(credentials)}
    assert (bus._fsync, bus._replicas) == (True, 3)
    secured = open_bus(f"tls://host?tls_ca={certifi.where()}")
    assert isinstance(secured, NatsBus)
    assert isinstance(secured._options["tls"], ssl.SSLContext)


def test_a_bus_in_memory_lasts_as_long_as_somebody_refers_to_it() -> None:
    async def append() -> None:
        await MemoryBus("forgotten").append("stream", b"", after=0)

    asyncio.run(append())
    assert asyncio.run(MemoryBus("forgotten").ends("stream")) == StreamEnds(0, 0)
