"""A runtime starts once, drains accepted commands, and leaves no caller waiting, whatever ends it."""

import asyncio
from collections.abc import Sequence

import pytest
from support.bank import Add, Stay, Tally
from support.stores import FaultyStore, GatedStore, PassedThrough
from support.virtual_time import settled, steps, virtual

from actorium import Ack, ConfigurationError, Settings
from actorium.application import Runtime
from actorium.errors import RuntimeClosed, StoreUnavailable
from actorium.store.errors import CommitUnknown
from actorium.store.event_store import PAGE_BYTES, AppendBatch, Appended, StreamPage, StreamRead
from actorium.store.memory import MemoryStore


class SlowToOpen(PassedThrough):
    """Takes a second to open; knows whether it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False

    async def open(self) -> None:
        await asyncio.sleep(1.0)
        await super().open()
        self.is_open = True

    async def close(self) -> None:
        await super().close()
        self.is_open = False


@virtual
async def test_it_starts_once() -> None:
    runtime = Runtime([Tally], store="memory://")
    await runtime.start()
    with pytest.raises(RuntimeClosed, match="create it in a function that is called for each run"):
        await runtime.start()
    await runtime.send(Add("t"))
    await runtime.stop()
    with pytest.raises(RuntimeClosed, match="was started before"):
        await runtime.start()


@virtual
async def test_stopping_twice_has_the_effect_of_stopping_once() -> None:
    runtime = Runtime([Tally], store="memory://")
    await runtime.stop()
    await runtime.start()
    await asyncio.gather(runtime.stop(), runtime.stop())
    await runtime.stop()


@virtual
async def test_it_refuses_calls_before_the_start_and_after_the_stop() -> None:
    runtime = Runtime([Tally], store="memory://")

    async def use() -> None:
        for call in (runtime.send(Add("t")), runtime.tell(Add("t")), runtime.get(Tally, "t")):
            with pytest.raises(RuntimeClosed, match=when):
                await call
        with pytest.raises(RuntimeClosed, match=when):
            runtime.events()
        with pytest.raises(RuntimeClosed, match=when):
            runtime.statistics()

    when = "has not been started"
    await use()
    async with runtime:
        await runtime.send(Add("t"))
    when = "is stopping or has stopped"
    await use()


@virtual
async def test_a_stop_during_the_start_ends_both() -> None:
    store = SlowToOpen()
    runtime = Runtime([Tally], store=store)
    starting = asyncio.ensure_future(runtime.start())
    await asyncio.sleep(0.5)
    await runtime.stop()
    await starting
    assert not store.is_open
    with pytest.raises(RuntimeClosed):
        await runtime.send(Add("t"))


@virtual
async def test_a_start_that_is_cancelled_leaves_the_store_closed() -> None:
    store = SlowToOpen()
    runtime = Runtime([Tally], store=store)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(runtime.start(), 0.5)
    assert not store.is_open


@virtual
async def test_a_store_that_cannot_be_opened_is_the_error_of_the_start() -> None:
    class Broken(PassedThrough):
        async def open(self) -> None:
            raise StoreUnavailable("no such disk")

    runtime = Runtime([Tally], store=Broken())
    with pytest.raises(StoreUnavailable, match="no such disk"):
        await runtime.start()
    await runtime.stop()
    with pytest.raises(RuntimeClosed):
        await runtime.send(Add("t"))


@virtual
async def test_an_exception_in_the_block_propagates_after_accepted_commands_are_durable() -> None:
    store = FaultyStore()
    store.next_fault = lambda: "slow"
    sent: list[asyncio.Future[Ack]] = []

    async def application() -> None:
        async with Runtime([Tally], store=store) as runtime:
            sent.append(asyncio.ensure_future(runtime.send(Add("t"))))
            await steps(2)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await application()
    assert (await sent[0]).version == 1


@virtual
async def test_commands_accepted_before_the_stop_are_committed_and_later_ones_refused() -> None:
    store = GatedStore()
    runtime = Runtime([Tally], store=store)
    await runtime.start()
    store.shut()
    sent = [asyncio.ensure_future(runtime.send(Add(f"t{n % 3}"))) for n in range(20)]
    await runtime.tell(Add("told"))
    asked = asyncio.ensure_future(runtime.send(Stay("t0"), command_id="look me up"))
    await settled()
    stopping = asyncio.ensure_future(runtime.stop())
    await settled()
    with pytest.raises(RuntimeClosed):
        await runtime.send(Add("t0"))
    assert not stopping.done()
    store.let_through()
    await stopping
    assert len(await asyncio.gather(*sent, asked)) == 21
    async with Runtime([Tally], store=store) as next_one:
        assert (await next_one.get(Tally, "told")).total == 1


@virtual
async def test_commands_not_committed_in_time_fail_with_runtime_closed() -> None:
    store = GatedStore()
    runtime = Runtime([Tally], store=store, settings=Settings(drain_s=3.0))
    await runtime.start()
    store.shut()
    sent = asyncio.ensure_future(runtime.send(Add("t"), command_id="late"))
    await store.commits(1)
    waiting = [asyncio.ensure_future(runtime.send(Add(id))) for id in ("t", "u")]
    read = asyncio.ensure_future(runtime.get(Tally, "t"))
    await settled()
    stopping = asyncio.ensure_future(runtime.stop())
    await asyncio.sleep(2.9)
    assert not any(future.done() for future in (sent, *waiting, read))
    await asyncio.sleep(0.1)
    await settled()
    assert not stopping.done()
    store.let_through()
    await stopping
    assert (await sent).version == 1  # its commit was under way, and is waited for
    for future in (*waiting, read):
        with pytest.raises(RuntimeClosed, match="has stopped"):
            await future


@virtual
async def test_the_store_is_closed_when_the_block_is_left() -> None:
    store = SlowToOpen()
    async with Runtime([Tally], store=store):
        assert store.is_open
    assert not store.is_open


@virtual
async def test_the_same_store_serves_the_next_runtime() -> None:
    store = MemoryStore()
    for n in range(3):
        async with Runtime([Tally], store=store) as runtime:
            assert (await runtime.send(Add("t"))).version == n + 1


@virtual
async def test_a_crash_of_the_runtime_fails_all_callers() -> None:
    class Absurd(GatedStore):
        async def _write(self, batch: AppendBatch) -> Appended:
            return Appended([], 0)  # an adapter's bug: an outcome is missing

    store = Absurd()
    async with Runtime([Tally], store=store, settings=Settings(max_in_flight=3)) as runtime:
        store.shut()
        sent = [asyncio.ensure_future(runtime.send(Add(f"t{n}"))) for n in range(5)]
        follower = asyncio.ensure_future(anext(runtime.events(), None))
        await settled()
        store.let_through()
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [CommitUnknown] * 3 + [RuntimeClosed] * 2
        await follower
        with pytest.raises(RuntimeClosed):
            await runtime.send(Add("t"))


@virtual
async def test_a_root_task_cancelled_from_outside_fails_all_callers() -> None:
    store = GatedStore()
    runtime = Runtime([Tally], store=store)
    await runtime.start()
    store.shut()
    sent = asyncio.ensure_future(runtime.send(Add("t")))
    cold = asyncio.ensure_future(runtime.send(Add("u")))
    await store.commits(1)
    (root,) = (task for task in asyncio.all_tasks() if task.get_name() == "actorium")
    root.cancel()
    await steps(3)
    store.let_through()
    outcomes = await asyncio.gather(sent, cold, return_exceptions=True)
    assert all(not isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await runtime.stop()


@virtual
async def test_a_hydration_in_progress_at_the_end_of_the_drain_fails() -> None:
    class Endless(PassedThrough):
        async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
            await asyncio.Event().wait()
            return []

    runtime = Runtime([Tally], store=Endless(), settings=Settings(drain_s=1.0))
    await runtime.start()
    sent = asyncio.ensure_future(runtime.send(Add("t")))
    await settled()
    await runtime.stop()
    with pytest.raises(RuntimeClosed):
        await sent


@virtual
async def test_a_runtime_takes_aggregate_classes() -> None:
    for wrong in ([], [Tally("t")], ["Tally"], [object]):
        with pytest.raises(ConfigurationError):
            Runtime(wrong, store="memory://")  # type: ignore[arg-type]
