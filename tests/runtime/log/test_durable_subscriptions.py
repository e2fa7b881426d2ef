"""Durable subscriptions continue after their saved position, and switch from stored to live events without a gap."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, Added, Reveal, Revealed, Tally
from support.stores import FaultyStore, append
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, Event, RecordedEvent, Runtime, Settings
from actorium.errors import StoreUnavailable
from actorium.store.memory import MemoryStore


async def log_of(events: int) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, *[Added(n) for n in range(1, events + 1)])
    await store.close()
    return store


@virtual
async def test_it_continues_after_its_saved_position_even_after_a_restart() -> None:
    store = await log_of(10)
    seen: list[int] = []
    for _ in range(3):
        async with Runtime([Tally], store=store) as runtime, runtime.subscribe("mail") as subscription:
            for _ in range(3):
                seen.append((await anext(subscription)).position)
            await subscription.save()
            seen.append((await anext(subscription)).position)  # given out, not saved: it comes again
    assert seen == [1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10]


@virtual
async def test_after_applies_only_to_a_new_name() -> None:
    store = await log_of(10)
    for first in (8, 9):
        async with Runtime([Tally], store=store) as runtime, runtime.subscribe("mail", after=7) as subscription:
            assert (await anext(subscription)).position == first
            assert subscription.position == first
            await subscription.save()
            assert subscription.saved_position == first


@virtual
async def test_names_are_independent_and_have_one_reader_each() -> None:
    async with Runtime([Tally], store=await log_of(5)) as runtime:
        async with runtime.subscribe("a") as first, runtime.subscribe("b") as second:
            await anext(first)
            await first.save()
            assert (await anext(second)).position == 1
            with pytest.raises(ConfigurationError, match="one reader"):
                async with runtime.subscribe("a"):
                    pass
        async with runtime.subscribe("a") as again:
            assert (await anext(again)).position == 2
        with pytest.raises(ConfigurationError, match="not open"):
            await anext(again)
        for name in ("", "ž" * 101, "a\0b", "\ud800"):
            with pytest.raises(ConfigurationError, match="a string of 1 to 200 bytes without NUL"):
                runtime.subscribe(name)
        runtime.subscribe("ž" * 100)


@virtual
async def test_unwanted_events_are_passed_and_not_searched_again() -> None:
    store = await log_of(5_000)
    async with Runtime([Tally], store=store) as runtime:
        async with runtime.subscribe("mail", types=[Revealed]) as subscription:
            waiting = asyncio.ensure_future(anext(subscription))
            await settled()
            assert subscription.position == 5_000
            await subscription.save()
            await runtime.send(Reveal("b"))
            assert isinstance((await waiting).event, Revealed)
        async with runtime.subscribe("mail", types=[Revealed]) as subscription:
            assert (await anext(subscription)).position == 5_001


@virtual
async def test_a_failed_save_raises_and_can_be_repeated() -> None:
    store = FaultyStore(await log_of(3))
    async with Runtime([Tally], store=store) as runtime, runtime.subscribe("mail") as subscription:
        await anext(subscription)
        store.faults.append("before")
        with pytest.raises(StoreUnavailable):
            await subscription.save()
        assert subscription.saved_position == 0
        await subscription.save()
        assert subscription.saved_position == 1


@pytest.mark.parametrize("tail_events", [1, 50, 4_096])
@virtual
async def test_several_subscribers_see_all_their_events_once_from_log_and_memory(tail_events: int) -> None:
    """From the middle of the log, by type, by stream, by name; fast and slow; while commands are executed."""
    store = FaultyStore(await log_of(3_000))
    store.next_fault = lambda: "slow"
    total = 3_600
    seen: dict[str, list[RecordedEvent[Event]]] = {}

    async def follow(name: str, subscription: Any, pause_s: float) -> None:
        seen[name] = []
        async for recorded in subscription:
            seen[name].append(recorded)
            if pause_s:
                await asyncio.sleep(pause_s)

    async with (
        Runtime([Tally], store=store, settings=Settings(tail_events=tail_events)) as runtime,
        runtime.subscribe("named", after=1_500) as named,
    ):
        followers = [
            asyncio.ensure_future(follow(name, subscription, pause_s))
            for name, subscription, pause_s in (
                ("all", runtime.events(after=0), 0),
                ("slow", runtime.events(after=2_000), 0.001),
                ("typed", runtime.events(types=[Revealed]), 0),
                ("stream", runtime.events(aggregate=Tally, id="t3"), 0.01),
                ("old stream", runtime.events(aggregate=Tally, id="a", after=2_990), 0),
                ("typed stream", runtime.events(aggregate=Tally, id="t3", types=[Added]), 0),
                ("named", named, 0),
            )
        ]
        for n in range(100):
            sends = [runtime.send(Reveal(f"t{k}") if k % 2 else Add(f"t{k}", n)) for k in range(6)]
            await asyncio.gather(*sends)
            await asyncio.sleep(0.001 * (n % 5))
        await asyncio.sleep(60)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    log = [record async for record in _log(store)]
    assert len(log) == total
    wanted = {
        "all": log,
        "slow": log[2_000:],
        "typed": [one for one in log if one[2] == "Revealed"],
        "stream": [one for one in log if one[1] == "t3"],
        "old stream": [one for one in log if one[1] == "a" and one[0] > 2_990],
        "typed stream": [],
        "named": log[1_500:],
    }
    for name, recorded in seen.items():
        found = [(one.position, one.stream_id, type(one.event).__name__) for one in recorded]
        assert found == wanted[name], name


async def _log(store: FaultyStore) -> Any:
    await store.open()
    for begin in range(0, 4_000, 1_000):
        for record in await store.read_log(begin, 1_000):
            yield record.position, record.stream.id, record.type
    await store.close()
