"""A caller may be cancelled at any moment without effect on the actor, the transaction or other callers."""

import asyncio

import pytest
from support.bank import Add, Tally
from support.stores import FaultyStore, whole_log
from support.virtual_time import settled, steps, virtual

from actorium import Passivation, Runtime, Settings

SETTINGS = [
    Settings(),
    Settings(mailbox_limit=1, max_in_flight=2),
    Settings(max_in_flight=1, passivation=Passivation(max_live=1)),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("step", range(40))
@virtual
async def test_a_caller_may_be_cancelled_at_every_step(step: int, settings: Settings) -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        before = asyncio.ensure_future(runtime.send(Add("t", 1)))
        leaving = asyncio.ensure_future(runtime.send(Add("t", 10), command_id="leaving"))
        behind = [asyncio.ensure_future(runtime.send(Add("t", 1))) for _ in range(3)]
        other = asyncio.ensure_future(runtime.send(Add("u", 1)))
        await steps(step)
        leaving.cancel()
        acks = await asyncio.gather(before, *behind, other)
        assert [ack.stream_id for ack in acks] == ["t", "t", "t", "t", "u"]
        await asyncio.gather(leaving, return_exceptions=True)
        await settled()
        assert runtime.statistics().in_flight == 0
        took_effect = (await store.inner.find_commands(["leaving"])).get("leaving") is not None
        assert (await runtime.get(Tally, "t")).total == (14 if took_effect else 4)
        again = await runtime.send(Add("t", 10), command_id="leaving")
        assert again.duplicate == took_effect
        assert (await runtime.get(Tally, "t")).total == 14
        assert [record.version for record in await whole_log(store.inner) if record.stream.id == "t"] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("step", range(25))
@virtual
async def test_a_reader_may_be_cancelled_at_every_step(step: int) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        sent = asyncio.ensure_future(runtime.send(Add("t", 1)))
        leaving = asyncio.ensure_future(runtime.get(Tally, "t"))
        await steps(step)
        leaving.cancel()
        await sent
        await asyncio.gather(leaving, return_exceptions=True)
        assert (await runtime.get(Tally, "t")).total == 1
        assert runtime.statistics().in_flight == 0


@pytest.mark.parametrize("step", range(25))
@virtual
async def test_a_tell_may_be_cancelled_at_every_step(step: int) -> None:
    async with Runtime([Tally], store="memory://", settings=Settings(max_in_flight=1)) as runtime:
        sent = asyncio.ensure_future(runtime.send(Add("t", 1)))
        leaving = asyncio.ensure_future(runtime.tell(Add("t", 10)))
        await steps(step)
        leaving.cancel()
        await sent
        await asyncio.gather(leaving, return_exceptions=True)
        await settled()
        assert (await runtime.get(Tally, "t")).total in (1, 11)
        assert runtime.statistics().in_flight == 0


@pytest.mark.parametrize("step", range(30))
@virtual
async def test_a_start_may_be_cancelled_at_every_step(step: int) -> None:
    store = FaultyStore()
    runtime = Runtime([Tally], store=store)
    starting = asyncio.ensure_future(runtime.start())
    await steps(step)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await runtime.stop()
    async with Runtime([Tally], store=store) as next_one:
        await next_one.send(Add("t", 1))


@pytest.mark.parametrize("step", range(30))
@virtual
async def test_a_stop_may_be_cancelled_at_every_step(step: int) -> None:
    store = FaultyStore()
    runtime = Runtime([Tally], store=store)
    await runtime.start()
    store.next_fault = lambda: "slow"
    sent = asyncio.ensure_future(runtime.send(Add("t", 1)))
    await steps(2)
    stopping = asyncio.ensure_future(runtime.stop())
    await steps(step)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    assert (await sent).version == 1
    await runtime.stop()
    async with Runtime([Tally], store=store) as next_one:
        assert (await next_one.get(Tally, "t")).total == 1
