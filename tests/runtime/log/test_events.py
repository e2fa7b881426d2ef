"""The log as a stream of events: existing ones, then new ones, without a gap."""

import asyncio
import contextlib
import gc

import pytest
from support.bank import Add, Added, Tally
from support.stores import FaultyStore, GatedStore, PassedThrough, append
from support.virtual_time import settled, virtual

from actorium import Event, RecordedEvent, Settings
from actorium.application import Runtime
from actorium.errors import StoreUnavailable, UnknownEventType
from actorium.store.errors import CommitUnknown, InvalidCommand
from actorium.store.event_store import PAGE_BYTES, AppendBatch, Appended
from actorium.store.memory import MemoryStore
from actorium.types import Metadata, Subscription

Recorded = RecordedEvent[Event]


class FollowedByNobody(Event):
    """No aggregate evolves it."""


async def take(subscription: Subscription[Event], count: int) -> list[Recorded]:
    return [await anext(subscription) for _ in range(count)]


def places(recorded: list[Recorded]) -> list[int]:
    return [one.position for one in recorded]


@virtual
async def test_existing_events_come_first_then_new_ones() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("t", 1, events=2))
        events = runtime.events(after=0)
        assert places(await take(events, 2)) == [1, 2]
        waiting = asyncio.ensure_future(anext(events))
        await settled()
        assert not waiting.done()
        await runtime.send(Add("u", 7), command_id="c", headers={"who": "me"})
        recorded = await waiting
        assert (recorded.stream_type, recorded.stream_id, recorded.version, recorded.position) == ("Tally", "u", 1, 3)
        assert recorded.event == Added(7)
        assert recorded.metadata == Metadata(command_id="c", headers={"who": "me"})


@virtual
async def test_live_events_equal_those_read_from_the_log_later() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        live = runtime.events(after=0)
        waiting = asyncio.ensure_future(take(live, 6))
        await settled()
        for n in range(3):
            await runtime.send(
                Add(f"t{n}", n, events=2), correlation_id="flow", causation_id="cause", headers={"n": "1"}
            )
        seen = await waiting
        assert seen == await take(runtime.events(after=0), 6)
        assert len({id(one) for one in seen}) == 6


@pytest.mark.parametrize("tail_events", [1, 7, 4_096])
@virtual
async def test_subscribers_of_every_speed_see_everything_once_in_order_under_load(tail_events: int) -> None:
    store = FaultyStore()
    store.next_fault = lambda: "slow"
    total = 600

    async def follow(after: int, pause_s: float) -> list[int]:
        seen = []
        async for recorded in runtime.events():
            if recorded.position >= after:
                break
        async for recorded in runtime.events(after=after):
            seen.append(recorded.position)
            if pause_s:
                await asyncio.sleep(pause_s)
            if recorded.position == total:
                break
        return seen

    async with Runtime([Tally], store=store, settings=Settings(tail_events=tail_events)) as runtime:

        async def write(writer: int) -> None:
            for n in range(30):
                await runtime.send(Add(f"t{writer % 4}", n, events=2))

        followers = [
            asyncio.ensure_future(follow(after, pause_s)) for after in (0, 100, 599) for pause_s in (0.0, 0.001, 0.05)
        ]
        await asyncio.gather(*map(write, range(10)))
        for follower, after in zip(followers, [0] * 3 + [100] * 3 + [599] * 3, strict=True):
            assert await follower == list(range(after + 1, total + 1))


@virtual
async def test_the_position_at_the_end_waits_for_the_one_after_it() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("t", 1, events=3))
        waiting = asyncio.ensure_future(anext(runtime.events(after=3)))
        await settled()
        assert not waiting.done()
        await runtime.send(Add("t", 9))
        assert (await waiting).position == 4


@virtual
async def test_a_position_before_the_beginning_is_refused() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(InvalidCommand, match="after=-1"):
            runtime.events(after=-1)


@virtual
async def test_breaking_out_of_the_loop_leaves_nothing_behind() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("t", 1, events=3))
        async for recorded in runtime.events():
            if recorded.position == 2:
                break
        gc.collect()
        engine = runtime._engine
        assert engine is not None
        assert len(engine.log_tail._followers) == 0
        await runtime.send(Add("t", 1))
        assert not engine.log_tail._kept


@virtual
async def test_a_subscriber_that_is_cancelled_while_it_waits_misses_nothing() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        events = runtime.events()
        seen = []
        for n in range(1, 6):
            waiting = asyncio.ensure_future(anext(events))
            await settled()
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await runtime.send(Add("t", n))
            seen += await take(events, 1)
        assert places(seen) == [1, 2, 3, 4, 5]


@virtual
async def test_it_ends_when_the_runtime_stops_wherever_it_is() -> None:
    runtime = Runtime([Tally], store="memory://")
    await runtime.start()
    for n in range(3):
        await runtime.send(Add("t", n))
    at_the_end, in_the_middle = runtime.events(after=3), runtime.events(after=0)
    waiting = asyncio.ensure_future(anext(at_the_end, None))
    await take(in_the_middle, 1)
    behind = runtime.events(after=0)
    await settled()
    await runtime.stop()
    assert await waiting is None
    assert places([one async for one in in_the_middle]) == [2, 3]
    assert [one async for one in behind] == []


@virtual
async def test_it_polls_if_a_notification_is_lost() -> None:
    store = MemoryStore()
    async with Runtime([Tally], store=store, settings=Settings(poll_s=7.0)) as runtime:
        waiting = asyncio.ensure_future(anext(runtime.events()))
        await settled()
        await append(store, ("Tally", "t"), 0, Added(1))
        await asyncio.sleep(6.9)
        assert not waiting.done()
        await asyncio.sleep(0.2)
        assert (await waiting).position == 1


@virtual
async def test_events_of_a_commit_that_failed_after_it_wrote_are_not_skipped() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        events = runtime.events()
        early = asyncio.ensure_future(take(events, 4))
        await runtime.send(Add("t", 1))
        store.faults.append("after")
        with pytest.raises(CommitUnknown):
            await runtime.send(Add("t", 2, events=2))
        last = await runtime.send(Add("u", 3))
        assert last.position == 4
        assert runtime.statistics().position == 4
        seen = await early
        assert places(seen) == [1, 2, 3, 4]
        assert seen == await take(runtime.events(), 4)


@virtual
async def test_no_subscriber_sees_an_event_before_it_is_durable() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        sent = asyncio.ensure_future(runtime.send(Add("t", 1)))
        waiting = asyncio.ensure_future(anext(runtime.events()))
        await store.commits(1)
        await asyncio.sleep(5)
        assert not waiting.done()
        store.let_through()
        await sent
        assert (await waiting).position == 1


@virtual
async def test_an_unreadable_event_ends_the_iteration_after_the_earlier_events() -> None:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "t"), 0, Added(1), Added(2))
    await append(store, ("Tally", "t"), 2, FollowedByNobody())
    await store.close()
    async with Runtime([Tally], store=store, settings=Settings(unreadable_types="warn")) as runtime:
        events = runtime.events()
        assert places(await take(events, 2)) == [1, 2]
        with pytest.raises(UnknownEventType, match="FollowedByNobody at Tally<t> version 3"):
            await anext(events)
        assert events.position == 2


@virtual
async def test_an_unavailable_store_ends_the_iteration_with_its_error() -> None:
    class Unreadable(PassedThrough):
        async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES):  # type: ignore[no-untyped-def]
            raise StoreUnavailable("the disk does not answer")

        async def append(self, batch: AppendBatch) -> Appended:
            return await self.inner.append(batch)

    async with Runtime([Tally], store=Unreadable()) as runtime:
        await runtime.send(Add("t", 1))
        with pytest.raises(StoreUnavailable):
            await anext(runtime.events())


@virtual
async def test_tail_bytes_limits_the_events_kept_for_subscribers() -> None:
    settings = Settings(tail_bytes=100)
    async with Runtime([Tally], store="memory://", settings=settings) as runtime:
        events = runtime.events()
        for n in range(50):
            await runtime.send(Add("t", n))
        engine = runtime._engine
        assert engine is not None
        assert sum(batch.size_bytes for batch in engine.log_tail._kept) <= 100
        assert places(await take(events, 50)) == list(range(1, 51))


@virtual
async def test_the_tail_keeps_what_its_slowest_follower_still_needs_and_no_more() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        engine = runtime._engine
        assert engine is not None
        quick, slow = runtime.events(), runtime.events()

        async def write_and_read(count: int) -> int:
            for n in range(count):
                await runtime.send(Add("t", n))
                await anext(quick)
            return sum(len(batch.events()) for batch in engine.log_tail._kept)

        assert await write_and_read(1_000) >= 1_000
        assert len(await take(slow, 1_000)) == 1_000
        assert await write_and_read(2_000) >= 2_000
        assert len(await take(slow, 2_000)) == 2_000
        slow.close()
        assert await write_and_read(4_000) <= 2 * 256
