"""`@react`: external effects, at least once, in the order of each stream; `on_replay` decides about replays."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.bank import Add, Added, Tally
from support.stores import GatedStore, append
from support.virtual_time import steps, virtual

from actorium import ConfigurationError, Event, IdempotencyKey, RecordedEvent, Retry, Runtime, react
from actorium.store.memory import MemoryStore

Call = tuple[str, int]


class Outside:
    """The world that a reaction works on: it may refuse, take its time, or be down."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.keys: list[str] = []
        self.refuses: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = self.most_busy = 0

    async def take(self, recorded: RecordedEvent[Event], key: str) -> None:
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            await self.gate.wait()
            await asyncio.sleep(0.01)
            if recorded.event.amount in self.refuses:  # type: ignore[attr-defined]
                raise ConnectionError("the world refuses")
            self.calls.append((recorded.stream_id, recorded.version))
            self.keys.append(key)
        finally:
            self.busy -= 1


def reaction(outside: Outside, **options: Any) -> Callable[..., Any]:
    options = {"on_replay": "run", "name": "tell", **options}

    @react(**options)
    async def tell(event: Added, recorded: RecordedEvent[Event], key: IdempotencyKey) -> None:
        await outside.take(recorded, key)

    return tell


async def idle(runtime: Runtime, handler: object) -> None:
    await runtime.processors[handler].checkpoint.reached(runtime.statistics().position)


async def crash() -> None:
    """End the runtime like a killed process: nothing is drained."""
    dying = [task for task in asyncio.all_tasks() if task.get_name() == "actorium"]
    for task in dying:
        task.cancel()
    await asyncio.gather(*dying, return_exceptions=True)


async def log_of(*amounts: tuple[str, int]) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    versions: dict[str, int] = {}
    for id, amount in amounts:
        await append(store, ("Tally", id), versions.get(id, 0), Added(amount))
        versions[id] = versions.get(id, 0) + 1
    await store.close()
    return store


@pytest.mark.parametrize(("on_replay", "told"), [("skip", [("b", 1)]), ("run", [("a", 1), ("a", 2), ("b", 1)])])
@virtual
async def test_existing_events_at_the_first_start_are_a_replay(on_replay: str, told: list[Call]) -> None:
    outside = Outside()
    tell = reaction(outside, on_replay=on_replay)
    store = await log_of(("a", 1), ("a", 1))
    for _ in range(2):
        async with Runtime([Tally, tell], store=store) as runtime:
            await runtime.send(Add("b", 1), expected_version=None, command_id="once")
            await idle(runtime, tell)
    assert sorted(outside.calls) == told


@virtual
async def test_a_reaction_killed_before_its_first_checkpoint_mistakes_no_new_event_for_a_replay() -> None:
    outside, store = Outside(), GatedStore()
    tell = reaction(outside, on_replay="skip")
    runtime = Runtime([Tally, tell], store=store)
    await runtime.start()
    outside.gate.clear()
    await runtime.send(Add("a", 1))
    await steps(20)
    await crash()
    outside.gate.set()
    async with Runtime([Tally, tell], store=store) as runtime:
        await idle(runtime, tell)
    assert outside.calls == [("a", 1)]


@pytest.mark.parametrize(("on_replay", "again"), [("skip", 0), ("run", 3)])
@virtual
async def test_a_reset_repeats_only_what_may_be_repeated(on_replay: str, again: int) -> None:
    outside = Outside()
    tell = reaction(outside, on_replay=on_replay)
    store = MemoryStore()
    async with Runtime([Tally, tell], store=store) as runtime:
        for id in "abc":
            await runtime.send(Add(id, 1))
        await idle(runtime, tell)
        await runtime.processors[tell].reset()
        await idle(runtime, tell)
        await runtime.send(Add("d", 1))
        await idle(runtime, tell)
        assert len(outside.calls) == 3 + again + 1
    async with Runtime([Tally, tell], store=store) as runtime:
        await idle(runtime, tell)
        assert len(outside.calls) == 3 + again + 1


@virtual
async def test_a_reset_that_would_skip_parked_events_permanently_is_refused() -> None:
    outside = Outside()
    outside.refuses.add(7)
    tell = reaction(outside, on_replay="skip", retry=Retry(attempts=1))
    async with Runtime([Tally, tell], store="memory://") as runtime:
        await runtime.send(Add("a", 7))
        await idle(runtime, tell)
        with pytest.raises(ConfigurationError, match="retry or discard"):
            await runtime.processors[tell].reset()
        outside.refuses.clear()
        assert await runtime.processors[tell].retry() == 1
        assert outside.calls == [("a", 1)]


@virtual
async def test_the_key_is_the_same_at_every_delivery_and_another_for_every_event() -> None:
    outside = Outside()
    tell = reaction(outside)
    async with Runtime([Tally, tell], store="memory://") as runtime:
        await runtime.send(Add("a", 1, events=2))
        await runtime.send(Add("b", 1))
        await idle(runtime, tell)
        await runtime.processors[tell].reset()
        await idle(runtime, tell)
    assert set(outside.keys) == {"tell:Tally:a:1:0", "tell:Tally:a:2:0", "tell:Tally:b:1:0"}
    assert len(outside.keys) == 6


@pytest.mark.parametrize("concurrency", [1, 3])
@virtual
async def test_streams_are_handled_concurrently_each_in_order(concurrency: int) -> None:
    outside = Outside()
    tell = reaction(outside, concurrency=concurrency)
    store = await log_of(*[(f"t{n % 7}", 1) for n in range(70)])
    async with Runtime([Tally, tell], store=store) as runtime:
        await idle(runtime, tell)
    assert outside.most_busy == concurrency
    for k in range(7):
        assert [version for id, version in outside.calls if id == f"t{k}"] == list(range(1, 11))


@virtual
async def test_a_crash_in_the_middle_of_a_page_repeats_little_and_skips_nothing() -> None:
    outside = Outside()
    tell = reaction(outside, concurrency=2)
    store = await log_of(*[(f"t{n % 20}", 1) for n in range(1_000)])
    runtime = Runtime([Tally, tell], store=store)
    await runtime.start()
    await asyncio.sleep(3.0)
    await crash()
    before = len(outside.calls)
    assert 400 <= before <= 600
    async with Runtime([Tally, tell], store=store) as runtime:
        assert runtime.processors[tell].checkpoint.position > 0, "a long page is saved on its way"
        await idle(runtime, tell)
    assert set(outside.calls) == {(f"t{n % 20}", n // 20 + 1) for n in range(1_000)}


@virtual
async def test_a_slow_stream_holds_back_the_checkpoint_so_no_event_is_skipped() -> None:
    outside = Outside()
    store = await log_of(("slow", 1), *[(f"t{n}", 1) for n in range(50)])
    stuck = asyncio.Event()

    @react(on_replay="run", name="tell")
    async def tell(event: Added, recorded: RecordedEvent[Event], key: IdempotencyKey) -> None:
        if recorded.stream_id == "slow":
            await stuck.wait()
        await outside.take(recorded, key)

    runtime = Runtime([Tally, tell], store=store)
    await runtime.start()
    await asyncio.sleep(5)
    assert len(outside.calls) == 50
    assert runtime.processors[tell].checkpoint.position == 0
    await crash()
    stuck.set()
    async with Runtime([Tally, tell], store=store) as runtime:
        await idle(runtime, tell)
    assert ("slow", 1) in outside.calls


@virtual
async def test_a_failing_event_is_retried_and_then_parked_alone() -> None:
    outside = Outside()
    outside.refuses.add(7)
    tell = reaction(outside, retry=Retry(attempts=3, backoff_s=1.0))
    store = await log_of(("a", 1), ("b", 7), ("b", 1), ("a", 1))
    async with Runtime([Tally, tell], store=store) as runtime:
        await idle(runtime, tell)
        assert sorted(outside.calls) == [("a", 1), ("a", 2)]
        (letter,) = runtime.processors[tell].dead_letters()
        assert (letter.stream.id, letter.attempts, letter.error) == ("b", 3, "ConnectionError: the world refuses")
        await runtime.send(Add("b", 1))
        await idle(runtime, tell)
        outside.refuses.clear()
        assert await runtime.processors[tell].retry() == 1
        assert [call for call in outside.calls if call[0] == "b"] == [("b", 1), ("b", 2), ("b", 3)]


@virtual
async def test_a_handler_that_ends_cancelled_has_not_done_its_work() -> None:
    tries = []

    @react(on_replay="run", retry=Retry(attempts=2))
    async def tell(event: Added) -> None:
        tries.append(event.amount)
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    async with Runtime([Tally, tell], store="memory://") as runtime:
        await runtime.send(Add("a", 1))
        await idle(runtime, tell)
        assert tries == [1, 1]
        assert len(runtime.processors[tell].dead_letters()) == 1


@virtual
async def test_two_reactions_with_the_same_name_are_refused_and_a_name_keeps_the_position() -> None:
    outside = Outside()
    with pytest.raises(ConfigurationError, match="name="):
        Runtime([Tally, reaction(outside), reaction(outside)], store="memory://")
    store = MemoryStore()
    for _ in range(2):
        tell = reaction(outside)
        async with Runtime([Tally, tell], store=store) as runtime:
            await runtime.send(Add("a", 1))
            await idle(runtime, tell)
    assert outside.calls == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("options", [{"on_replay": "maybe"}, {"on_replay": "run", "concurrency": 0}])
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="@react"):
        react(**options)


def test_on_replay_has_no_default() -> None:
    with pytest.raises(TypeError):
        react()  # type: ignore[call-arg]
