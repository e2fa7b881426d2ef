"""Every setting of a runtime has an effect, and the counters show it."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, FailToDecide, Stay, Tally
from support.stores import FaultyStore, GatedStore
from support.virtual_time import settled, virtual

from actorium import Ack, CommandFailed, ConfigurationError, Rejected, Settings
from actorium.application import Runtime
from actorium.errors import CommandTimeout
from actorium.types import RuntimeStatistics


def send(runtime: Runtime, *ids: str) -> "list[asyncio.Future[Ack]]":
    return [asyncio.ensure_future(runtime.send(Add(id, 7))) for id in ids]


@virtual
async def test_default_timeout_s_applies_to_calls_without_a_timeout() -> None:
    store = GatedStore()
    loop = asyncio.get_running_loop()
    async with Runtime([Tally], store=store, settings=Settings(default_timeout_s=3.0)) as runtime:
        store.shut()
        for call in (runtime.send(Add("t"), command_id="mine"), runtime.get(Tally, "t")):
            started = loop.time()
            with pytest.raises(CommandTimeout):
                await call
            assert loop.time() - started == pytest.approx(3.0)
        store.let_through()


@virtual
async def test_a_timeout_names_the_command_and_its_id_and_says_what_to_do() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        with pytest.raises(CommandTimeout) as timeout:
            await runtime.send(Add("t"), command_id="mine", timeout_s=1.5)
        assert str(timeout.value) == (
            "Add to 't' had no reply within 1.5 s: its outcome is unknown; send it again with command_id='mine'"
        )
        assert timeout.value.command_id == "mine"
        store.let_through()


@virtual
async def test_many_timeouts_end_each_at_its_own_time() -> None:
    store = GatedStore()
    loop = asyncio.get_running_loop()
    ended: dict[int, float] = {}

    async def wait(runtime: Runtime, seconds: int) -> None:
        started = loop.time()
        with pytest.raises(CommandTimeout):
            await runtime.send(Add("t"), timeout_s=seconds)
        ended[seconds] = loop.time() - started

    async with Runtime([Tally], store=store, settings=Settings(mailbox_limit=5_000)) as runtime:
        store.shut()
        await asyncio.gather(*(wait(runtime, 1 + n * 7 % 2_000) for n in range(2_000)))
        assert all(seconds == pytest.approx(waited) for seconds, waited in ended.items())
        store.let_through()


@virtual
async def test_timeouts_that_were_not_needed_do_not_pile_up() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        for _ in range(5_000):
            await runtime.send(Add("t"), timeout_s=1_000_000.0)
        engine = runtime._engine
        assert engine is not None
        assert not engine.deadlines


@virtual
async def test_turn_budget_lets_the_next_actor_have_its_turn() -> None:
    store = GatedStore()
    settings = Settings(turn_budget=2, max_batch_events=1)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        await asyncio.gather(*send(runtime, "hot", "cold"))
        store.batches.clear()
        await asyncio.gather(*send(runtime, *["hot"] * 6, "cold"))
        order = [batch.appends[0].stream.id for batch in store.batches]
        assert order == ["hot", "hot", "hot", "cold", "hot", "hot", "hot"]  # the first is decided within `send`


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        (Settings(max_batch_events=3), [1, 3, 3, 3, 1]),
        (Settings(max_batch_bytes=150), None),
        (Settings(), [1, 10]),
    ],
)
@virtual
async def test_the_batch_size_follows_the_load_up_to_its_limits(settings: Settings, sizes: list[int] | None) -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        store.shut()
        sent = send(runtime, "blocker")
        await store.commits(1)
        sent += send(runtime, *(f"t{n}" for n in range(10)))
        await settled()
        store.let_through()
        await asyncio.gather(*sent)
        batches = [len(batch.appends) for batch in store.batches]
        if sizes is not None:
            assert batches == sizes
        else:
            assert 1 < max(batches) < 10


@pytest.mark.parametrize("name", Settings.__struct_fields__)
@pytest.mark.parametrize("value", [None, "5", []])
def test_a_setting_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Settings\({name}="):
        Settings(**{name: value})


@pytest.mark.parametrize(
    "name",
    [name for name in Settings.__struct_fields__ if isinstance(getattr(Settings(), name), int | float)],
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_an_invalid_limit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings(**{name: value})


def moved(before: RuntimeStatistics, after: RuntimeStatistics) -> dict[str, int]:
    return {
        name: getattr(after, name) - getattr(before, name)
        for name in RuntimeStatistics.__struct_fields__
        if name != "writer" and getattr(after, name) != getattr(before, name)
    }


@virtual
async def test_each_counter_moves_when_it_should() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        before = runtime.statistics()

        async def after(call: Any, error: type[Exception] | None = None) -> dict[str, int]:
            nonlocal before
            if error is None:
                await call
            else:
                with pytest.raises(error):
                    await call
            await settled()
            now = runtime.statistics()
            change, before = moved(before, now), now
            return change

        fresh = {"acknowledged": 1, "position": 1, "live_actors": 1, "hydrations": 1}
        assert await after(runtime.send(Add("t"), command_id="one")) == fresh
        assert await after(runtime.send(Add("t"))) == {"acknowledged": 1, "position": 1}
        assert await after(runtime.tell(Add("t"))) == {"acknowledged": 1, "position": 1}
        assert await after(runtime.send(Stay("t"))) == {"acknowledged": 1}
        assert await after(runtime.get(Tally, "t")) == {}
        assert await after(runtime.send(Add("t", needs=50)), Rejected) == {"rejected": 1}
        assert await after(runtime.send(FailToDecide("t")), CommandFailed) == {"failed": 1}
        duplicate = {"acknowledged": 1, "duplicates": 1}
        assert await after(runtime.send(Add("t"), command_id="one")) == duplicate
        store.shut()
        waiting = send(runtime, "t", "t")
        assert await after(settled()) == {"in_flight": 2, "hydrations": 1}
        store.let_through()
        done = {"in_flight": -2, "acknowledged": 2, "position": 2}
        assert await after(asyncio.gather(*waiting)) == done


@virtual
async def test_the_writers_counters_count_batches() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        sent = send(runtime, "a")
        await store.commits(1)
        sent += send(runtime, "b", "c")
        await settled()
        assert runtime.statistics().writer.waiting_requests == 2
        store.let_through()
        await asyncio.gather(*sent)
        store.faults.append("before")
        await asyncio.gather(*send(runtime, "d"), return_exceptions=True)
        writer = runtime.statistics().writer
        assert (writer.batches, writer.failed_batches, writer.largest_batch_events) == (3, 1, 2)
        assert writer.waiting_requests == 0


@virtual
async def test_failed_waiting_and_ready_are_current_values() -> None:
    async with Runtime([Tally], store="memory://", settings=Settings(max_in_flight=2)) as runtime:
        await asyncio.gather(*send(runtime, "a", "b"))
        sent = send(runtime, "a", "b", "c")  # the first is decided within `send`
        await asyncio.sleep(0)
        statistics = runtime.statistics()
        assert (statistics.ready_actors, statistics.waiting_for_room, statistics.in_flight) == (1, 1, 2)
        await asyncio.gather(*sent)
        statistics = runtime.statistics()
        assert (statistics.ready_actors, statistics.waiting_for_room, statistics.in_flight) == (0, 0, 0)
