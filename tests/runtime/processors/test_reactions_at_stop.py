"""A reaction that sends commands while its runtime stops, or has just begun."""

import asyncio
from collections.abc import Sequence

import pytest
from support.bank import Add, Added, Tally
from support.virtual_time import settled, virtual

from actorium import Runtime, react
from actorium.errors import RuntimeClosed
from actorium.store.event_store import PAGE_BYTES, StreamPage, StreamRead
from actorium.store.memory import MemoryStore
from actorium.store.names import StoredEventType


class SlowToRead(MemoryStore):
    """A store in which one stream cannot be read until somebody lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.readable = asyncio.Event()

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        if any(read.stream.id == "slow" for read in reads):
            await self.readable.wait()
        return await super().read_streams(reads, max_bytes)


@virtual
async def test_it_is_not_parked_but_runs_again_at_the_next_start() -> None:
    store, gate, delivered = SlowToRead(), asyncio.Event(), []
    runtimes: list[Runtime] = []

    @react(on_replay="run")
    async def copy(event: Added) -> None:
        delivered.append(event)
        await gate.wait()
        if event.amount < 100:
            await runtimes[-1].send(Add("copy", 100 + event.amount), command_id=f"copy-{event.amount}")

    runtimes.append(Runtime([Tally, copy], store=store))
    await runtimes[0].start()
    await runtimes[0].send(Add("original", 1))
    held = asyncio.ensure_future(runtimes[0].send(Add("slow", 1)))  # the stop waits for it, long past all attempts
    await settled()
    stopping = asyncio.ensure_future(runtimes[0].stop())
    await settled()
    gate.set()
    await stopping
    with pytest.raises(RuntimeClosed):
        await held
    assert delivered == [Added(1)]
    store.readable.set()

    async with Runtime([Tally, copy], store=store) as runtime:
        runtimes.append(runtime)
        async for recorded in runtime.events():
            if recorded.stream_id == "copy":
                break
        assert runtime.processors[copy].dead_letters() == []
        assert (await runtime.get(Tally, "copy")).total == 101


class SlowToBegin(MemoryStore):
    """A store that takes its time over what a runtime asks at its start; events come at once."""

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        await asyncio.sleep(1)
        return await super().event_types(counted=counted)


@virtual
async def test_one_that_finds_events_at_the_start_can_send_at_once() -> None:
    store = SlowToBegin()
    async with Runtime([Tally], store=store) as before:
        await before.send(Add("original", 1))

    @react(on_replay="run")
    async def copy(event: Added) -> None:
        if event.amount < 100:
            await runtime.send(Add("copy", 100 + event.amount), command_id=f"copy-{event.amount}")

    runtime = Runtime([Tally, copy], store=store)
    async with runtime:
        await settled()
        assert runtime.processors[copy].statistics().position == 2
