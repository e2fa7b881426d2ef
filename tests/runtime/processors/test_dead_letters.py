"""A poison event stops only its own stream in one processor: parked, listed, retried or discarded, across restarts."""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.bank import Add, Added, Tally
from support.read_models import AT_ONCE, PARTS, Sums, Switch, Totals, caught_up, parked
from support.stores import FaultyStore, GatedStore, PassedThrough, append
from support.tables import run_on
from support.virtual_time import run_virtual, steps, virtual

from actorium import Projection, Runtime, Settings, on
from actorium.actors.errors import NotFound
from actorium.runtime.retry import Retry
from actorium.store.errors import CommitUnknown, InvalidCommand, StatementFailed
from actorium.store.event_store import Append, AppendBatch, SaveCheckpoint, SaveFailure
from actorium.store.events import EncodedEvent
from actorium.store.memory import MemoryStore
from actorium.store.names import StreamName
from actorium.store.urls import open_store
from actorium.types import DeadLetter


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


async def log_of(*amounts: tuple[str, int]) -> MemoryStore:
    """A store whose log has these amounts, one event each."""
    store = MemoryStore()
    await store.open()
    versions: dict[str, int] = {}
    for id, amount in amounts:
        await append(store, ("Tally", id), versions.get(id, 0), Added(amount))
        versions[id] = versions.get(id, 0) + 1
    await store.close()
    return store


@pytest.mark.parametrize("switch", [Switch.raises, Switch.breaks_sql], ids=["python", "sql"])
@pytest.mark.asyncio
async def test_one_poison_event_in_10_000_parks_one_stream_of_100(log_url: str, switch: set[int]) -> None:
    store = open_store(log_url)
    await store.open()
    events = [
        EncodedEvent("Added", 1, b'{"amount":%d}' % (1_000_000 if n == 4_242 else n % 9), b"{}") for n in range(10_000)
    ]
    for begin in range(0, 10_000, 1_000):
        numbers = range(begin, begin + 1_000)
        await store.append(
            AppendBatch(0, [Append(StreamName("Tally", f"t{n % 100}"), n // 100, (events[n],)) for n in numbers])
        )
    await store.close()
    expected = {f"t{k}": (sum(n % 9 for n in range(k, 10_000, 100)), 100) for k in range(100)}
    expected["t42"] = (sum(n % 9 for n in range(42, 4_242, 100)), 42)
    switch.add(1_000_000)
    async with Runtime([Tally, Totals], store=log_url, settings=AT_ONCE) as runtime:
        assert await runtime.query(Totals.all, after=10_000) == expected
        assert parked(runtime, Totals) == [("t42", 43)]
        (letter,) = runtime.processors[Totals].dead_letters()
        assert (letter.position, letter.event_type, letter.attempts) == (4_243, "Added", 1)
        assert "1000000" in letter.error or re.search("(?i)not.null", letter.error)
        assert "Traceback" in letter.traceback
        switch.clear()
        Switch.calls.clear()
        assert await runtime.processors[Totals].retry() == 1
        assert Switch.calls == sorted(Switch.calls), "the stream's events are delivered in order"
        whole = sum(n % 9 for n in range(42, 10_000, 100)) - 4_242 % 9 + 1_000_000
        assert (await runtime.query(Totals.all))["t42"] == (whole, 100)


@virtual
async def test_dead_letters_survive_the_process_and_hold_back_later_events() -> None:
    store = await log_of(("a", 1), ("a", 7), ("b", 1))
    Switch.raises.add(7)
    for _ in range(2):
        async with Runtime(PARTS, store=store, settings=AT_ONCE) as runtime:
            await runtime.send(Add("a", 1))
            await caught_up(runtime, Totals, Sums)
            for projection in (Totals, Sums):
                assert parked(runtime, projection) == [("a", 2)]
            assert await runtime.query(Totals.all) == {"a": (1, 1), "b": (1, 1)}
            assert await runtime.query(Sums.all) == {"a": 1, "b": 1}
    Switch.off()
    async with Runtime(PARTS, store=store, settings=AT_ONCE) as runtime:
        for projection in (Totals, Sums):
            assert await runtime.processors[projection].retry() == 1
            assert parked(runtime, projection) == []
        assert await runtime.query(Totals.all) == {"a": (10, 4), "b": (1, 1)}
        assert await runtime.query(Sums.all) == {"a": 10, "b": 1}


class Files(Projection):
    read: int = 0

    @on
    def added(self, event: Added) -> None:
        raise FileNotFoundError(os.fsdecode(b"no file \xff"))


@virtual
async def test_an_error_with_invalid_text_is_parked_like_any_other() -> None:
    async with Runtime([Tally, Files], store="memory://", settings=AT_ONCE) as runtime:
        await runtime.send(Add("a", 1))
        await caught_up(runtime, Files)
        (letter,) = runtime.processors[Files].dead_letters()
    assert letter.error == "FileNotFoundError: no file \\udcff"


@virtual
async def test_a_retry_that_fails_further_on_parks_there() -> None:
    store = await log_of(("a", 7), ("a", 1), ("a", 8), ("a", 2))
    Switch.raises |= {7, 8}
    async with Runtime(PARTS, store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Totals, Sums)
        Switch.raises.remove(7)
        for projection, query, then in ((Totals, Totals.of, 8), (Sums, Sums.of, 8)):
            processor = runtime.processors[projection]
            assert await processor.retry() == 0
            assert parked(runtime, projection) == [("a", 3)]
            assert await runtime.query(query, "a") == then
            assert processor.dead_letters()[0].attempts == 1


@virtual
async def test_one_letter_is_retried_or_all() -> None:
    store = await log_of(("a", 7), ("b", 7), ("c", 7))
    Switch.raises.add(7)
    async with Runtime([Tally, Totals], store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Totals)
        processor = runtime.processors[Totals]
        Switch.raises.clear()
        assert await processor.retry(2) == 1
        assert parked(runtime, Totals) == [("a", 1), ("c", 1)]
        assert await processor.retry() == 2
        assert await runtime.query(Totals.all) == {id: (7, 1) for id in "abc"}
        with pytest.raises(NotFound, match="no parked event at position 2"):
            await processor.retry(2)


@pytest.mark.parametrize("restart", [False, True])
@virtual
async def test_a_discarded_event_is_skipped_permanently_and_those_behind_it_continue(restart: bool) -> None:
    store = await log_of(("a", 1), ("a", 7), ("a", 2))
    Switch.raises.add(7)
    async with Runtime(PARTS, store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Totals, Sums)
        for projection in (Totals, Sums):
            processor = runtime.processors[projection]
            with pytest.raises(InvalidCommand, match="reason"):
                await processor.discard(2, "  ")
            assert await processor.discard(2, "a test deposit")
            assert [letter.discarded for letter in processor.dead_letters(discarded=True)] == ["a test deposit"]
            assert parked(runtime, projection) == []
        if not restart:
            assert (await runtime.query(Totals.of, "a"), await runtime.query(Sums.of, "a")) == (3, 3)
    Switch.off()
    async with Runtime(PARTS, store=store, settings=AT_ONCE) as runtime:
        await runtime.send(Add("a", 4), wait_for=[Totals, Sums])
        assert (await runtime.query(Totals.of, "a"), await runtime.query(Sums.of, "a")) == (7, 7)


@pytest.mark.parametrize("what", ["retry", "discard"])
@pytest.mark.parametrize("commits", range(5))
def test_a_crash_during_a_retry_or_discard_repeats_and_loses_nothing(commits: int, what: str) -> None:
    """The store dies after this many commits of the repair; another process continues with the result."""

    async def main() -> None:
        inner = await log_of(("a", 7), *[("a", 1)] * 4, ("b", 1))
        Switch.raises.add(7)
        async with Runtime([Tally, Totals], store=inner, settings=AT_ONCE) as runtime:
            await caught_up(runtime, Totals)
        Switch.raises.clear()
        Switch.raises.add(99) if what == "discard" else None
        store = GatedStore(inner)
        runtime = Runtime([Tally, Totals], store=store, settings=Settings(handler_retry=Retry(attempts=1), drain_s=0.1))
        await runtime.start()
        processor = runtime.processors[Totals]
        await caught_up(runtime, Totals)
        begun = len(store.saves)
        repair = processor.retry() if what == "retry" else processor.discard(1, "a reason")
        repairing = asyncio.ensure_future(repair)
        for _ in range(1_000):
            if len(store.saves) < begun + commits and not repairing.done():
                await steps(1)
        dying = [task for task in asyncio.all_tasks() if task.get_name() == "actorium"]
        for task in dying:
            task.cancel()
        await asyncio.gather(*dying, repairing, return_exceptions=True)
        async with Runtime([Tally, Totals], store=inner, settings=AT_ONCE) as again:
            await caught_up(again, Totals)
            await again.processors[Totals].retry()
            discarded = bool(again.processors[Totals].dead_letters(discarded=True))
            total = 4 if discarded else 11
            assert await again.query(Totals.all) == {"a": (total, 4 + (not discarded)), "b": (1, 1)}

    run_virtual(main())


@virtual
async def test_a_repair_whose_commit_is_unknown_is_not_repeated() -> None:
    store = FaultyStore(await log_of(("a", 7), ("a", 1)))
    Switch.raises.add(7)
    async with Runtime([Tally, Totals], store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Totals)
        Switch.raises.clear()
        store.faults.append("after")
        with pytest.raises(CommitUnknown):
            await runtime.processors[Totals].retry()
        assert await runtime.processors[Totals].retry() == 0
        assert await runtime.query(Totals.all) == {"a": (8, 2)}


@virtual
async def test_a_handler_is_tried_as_often_as_the_settings_say_with_growing_pauses() -> None:
    store = await log_of(("a", 7))
    Switch.raises.add(7)
    settings = Settings(handler_retry=Retry(attempts=4, backoff_s=1.0))
    began = asyncio.get_running_loop().time()
    async with Runtime([Tally, Totals], store=store, settings=settings) as runtime:
        await caught_up(runtime, Totals)
        assert Switch.calls == [1] * 4
        assert runtime.processors[Totals].dead_letters()[0].attempts == 4
        assert 7.0 <= asyncio.get_running_loop().time() - began <= 7.0 * 1.25 + 0.1


@virtual
async def test_a_handler_that_recovers_in_time_parks_nothing() -> None:
    store = await log_of(("a", 7), ("b", 1))
    Switch.raises.add(7)
    async with Runtime([Tally, Totals], store=store) as runtime:
        asyncio.get_running_loop().call_later(0.05, Switch.raises.clear)
        assert await runtime.query(Totals.all, after=2) == {"a": (7, 1), "b": (1, 1)}
        assert parked(runtime, Totals) == []


@virtual
async def test_a_broken_handler_stops_at_the_limit_and_continues_when_it_is_fixed() -> None:
    store = await log_of(*((f"t{n}", 7) for n in range(5)))
    Switch.raises.add(7)
    settings = Settings(handler_retry=Retry(attempts=1), max_parked=5)
    async with Runtime([Tally, Totals], store=store, settings=settings) as runtime:
        await caught_up(runtime, Totals)
        processor = runtime.processors[Totals]
        await runtime.send(Add("new", 1))
        await asyncio.sleep(5)
        statistics = processor.statistics()
        assert (statistics.state, statistics.parked, statistics.position) == ("full", 5, 5)
        assert "max_parked" in statistics.error
        Switch.off()
        assert await processor.retry() == 5
        assert (await runtime.query(Totals.all, after=6))["new"] == (1, 1)
        assert processor.statistics().state == "running"


@pytest.mark.asyncio
async def test_a_damaged_event_stops_its_stream_only(log_url: str) -> None:
    async with Runtime([Tally], store=log_url) as runtime:
        for n in range(20):
            await runtime.send(Add(f"t{n % 4}", n))
    await run_on(log_url, "UPDATE events SET payload = '{\"amount\":500}' WHERE position = 7")
    async with Runtime(PARTS, store=log_url, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Totals, Sums)
        totals = {"t0": 40, "t1": 45, "t2": 2, "t3": 55}
        assert {id: total for id, (total, _) in (await runtime.query(Totals.all)).items()} == totals
        assert await runtime.query(Sums.all) == totals
        letters: list[DeadLetter] = runtime.processors[Totals].dead_letters()
        assert [(letter.stream.id, letter.version, letter.position) for letter in letters] == [("t2", 2, 7)]
        assert "checksum" in letters[0].error
        assert await runtime.processors[Totals].discard(7, "the disk lost it")
        assert await runtime.query(Totals.of, "t2") == 2 + 10 + 14 + 18


@pytest.mark.parametrize("kept", [0, 2])
@virtual
async def test_a_state_saved_before_a_retry_is_not_used_after_it(kept: int) -> None:
    keeping: Any = type("Keeping", (Sums,), {"snapshot_every": kept})
    store = await log_of(("a", 1), ("a", 7), ("b", 1), ("b", 1))
    Switch.raises.add(7)
    async with Runtime([Tally, keeping], store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, keeping)
        Switch.raises.clear()
        assert await runtime.processors[keeping].retry() == 1
    async with Runtime([Tally, keeping], store=store, settings=AT_ONCE) as runtime:
        assert await runtime.query(keeping.all, after=4) == {"a": 8, "b": 2}


class RefusesEmpty(PassedThrough):
    """Refuses a checkpoint that stands for no statement, so many times."""

    times = 0

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        empty = [one for one in checkpoints if one.name.startswith("projection") and not one.statements]
        if not self.times or not empty or any(one.parked for one in empty):
            return await self.inner.save(checkpoints)
        self.times -= 1
        assert len(checkpoints) == 1, "each is saved by itself here"
        return {0: StatementFailed("refused")}


@virtual
async def test_held_back_events_stay_if_their_checkpoint_is_refused() -> None:
    store = RefusesEmpty()
    Switch.raises.add(7)
    async with Runtime([Tally, Totals], store=store) as runtime:
        await runtime.send(Add("a", 7))
        await asyncio.sleep(60)
        assert parked(runtime, Totals) == [("a", 1)]
        store.times = 1
        await runtime.send(Add("a", 5))
        await caught_up(runtime, Totals)
        assert store.times == 0
        assert await runtime.query(Totals.all) == {}
        Switch.off()
        assert await runtime.processors[Totals].retry() == 1
        assert await runtime.query(Totals.all) == {"a": (12, 2)}
