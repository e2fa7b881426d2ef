"""A reaction that sends commands while its runtime stops."""

import asyncio

from support.bank import Add, Added, Tally
from support.virtual_time import settled, virtual

from actorium import Runtime, react
from actorium.store.memory import MemoryStore


@virtual
async def test_it_is_not_parked_but_runs_again_at_the_next_start() -> None:
    store, gate, delivered = MemoryStore(), asyncio.Event(), []
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
    await settled()
    stopping = asyncio.ensure_future(runtimes[0].stop())
    await settled()
    gate.set()
    await stopping

    async with Runtime([Tally, copy], store=store) as runtime:
        runtimes.append(runtime)
        async for recorded in runtime.events():
            if recorded.stream_id == "copy":
                break
        assert runtime.processor(copy).dead_letters() == []
        assert (await runtime.get(Tally, "copy")).total == 101
