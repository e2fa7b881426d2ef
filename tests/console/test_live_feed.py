"""The live values of a console: one sample a second for everybody who watches, and nothing if nobody does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.consoles import client_of
from support.shop import Faults, Repair, open_shop, place
from support.virtual_time import virtual

from actorium.console import Console, Masking, Meter
from actorium.console.feed import EVENTS_COUNTED_MAX, EVENTS_SHOWN, SAMPLES_WAITING_MAX


class Watching:
    """A client of the live values, whose connection may be slow."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        for line in message.get("body", b"").split(b"\n"):
            if line.startswith(b"data: "):
                self.messages.append(json.loads(line[6:]))


@asynccontextmanager
async def watching(console: Console, query: bytes = b"") -> AsyncIterator[Watching]:
    client = Watching()
    scope = {"type": "http", "method": "GET", "path": "/api/live", "query_string": query}
    serving = asyncio.create_task(console({**scope, "headers": [(b"host", b"localhost")]}, client.receive, client.send))
    await asyncio.sleep(0.1)
    yield client
    client.left.set()
    await serving


@virtual
async def test_a_sample_has_rates_gauges_processors_flow_and_the_newest_events() -> None:
    meter = Meter()
    async with open_shop(instruments=[meter]) as runtime:
        Faults.warehouse = Faults.mail = False
        console = Console(runtime, meter=meter, masking=Masking(default="show"))
        async with watching(console) as client:
            await place(runtime, *[f"o-{number}" for number in range(20)])
            await asyncio.sleep(2)
        first, second = client.messages[:2]
        assert first["rates"]["acknowledged"] >= 20
        assert first["flow"]["Order"] == first["flow"]["event OrderPlaced"] == 20
        assert len(first["events"]) == EVENTS_SHOWN
        assert first["events"][-1]["position"] == first["position"]
        assert first["events_left_out"] == first["position"] - EVENTS_SHOWN
        assert first["commit_s"][0] <= first["commit_s"][1]
        assert {one["name"] for one in first["processors"]} == {one.name for one in runtime.statistics().processors}
        assert set(first["gauges"]) >= {"in_flight", "expected_wait_s", "waiting_appends"}
        assert (second["rates"]["events"], second["events"], second["commit_s"]) == (0, [], None)


@virtual
async def test_events_are_limited_to_types_and_to_a_flow() -> None:
    async with open_shop() as runtime:
        console = Console(runtime)
        async with watching(console, b"types=Paid") as by_type, watching(console, b"correlation_id=place+o-2") as flow:
            await place(runtime, "o-1", "o-2")
            await asyncio.sleep(1)
        assert {one["type"] for message in by_type.messages for one in message["events"]} == {"Paid"}
        found = [one for message in flow.messages for one in message["events"]]
        assert {one["stream_id"] for one in found} >= {"o-2", "alice"}
        assert "o-1" not in {one["stream_id"] for one in found}


@virtual
async def test_a_watcher_that_does_not_keep_up_loses_samples_and_holds_nobody_up() -> None:
    async with open_shop() as runtime:
        console = Console(runtime)
        async with watching(console) as slow, watching(console) as other:
            slow.reads.clear()
            await asyncio.sleep(20)
            slow.reads.set()
            await asyncio.sleep(0.01)
            assert len(other.messages) >= 19
            assert len(slow.messages) <= SAMPLES_WAITING_MAX + 2


@virtual
async def test_more_events_than_a_sample_reads_are_left_out_and_their_flow_is_estimated() -> None:
    async with open_shop() as runtime:
        async with watching(Console(runtime)) as client:
            await asyncio.gather(*[runtime.send(Repair("main")) for _ in range(EVENTS_COUNTED_MAX + 50)])
            await asyncio.sleep(1)
        sample = next(one for one in client.messages if one["events"])
        assert sample["flow"]["Warehouse"] == EVENTS_COUNTED_MAX + 50
        assert sample["events_left_out"] == EVENTS_COUNTED_MAX + 50 - EVENTS_SHOWN


@virtual
async def test_nobody_watching_means_no_sampling_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorium.console.feed.WATCHERS_MAX", 1)
    async with open_shop() as runtime:
        console = Console(runtime)
        async with watching(console):
            assert console._feed._sampling is not None
            async with client_of(console) as client:
                assert (await client.get("live", 503))["error"] == "Overloaded"
        assert console._feed._sampling is None


@virtual
async def test_the_stream_ends_when_the_application_stops() -> None:
    async with open_shop() as runtime:
        console = Console(runtime)
        client = Watching()
        scope = {"type": "http", "method": "GET", "path": "/api/live", "query_string": b""}
        serving = asyncio.create_task(
            console({**scope, "headers": [(b"host", b"localhost")]}, client.receive, client.send)
        )
        await asyncio.sleep(3)
    async with asyncio.timeout(10):
        await serving
