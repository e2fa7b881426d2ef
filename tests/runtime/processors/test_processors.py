"""Processors: pause, resume, reset, statistics; a failure in one stops neither the engine nor the others."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, Added, Tally
from support.read_models import PARTS, Sums, Switch, Totals, caught_up
from support.stores import FaultyStore, append
from support.virtual_time import settled, virtual

from actorium import Event, Outlet, Projection, RecordedEvent, Runtime, Saga, Settings, on, query, react, starts, step
from actorium.errors import RuntimeClosed, StoreUnavailable
from actorium.store.memory import MemoryStore
from actorium.store.source import SeededSource
from actorium.types import CloudEvent

_SECOND_US = 1_000_000


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


@react(on_replay="run")
async def tell(event: Added) -> None:
    Switch.calls.append(-event.amount)


@pytest.mark.parametrize("handler", [Totals, Sums, tell])
@virtual
async def test_a_paused_processor_delivers_nothing_until_it_resumes(handler: Any) -> None:
    async with Runtime([Tally, handler], store="memory://") as runtime:
        processor = runtime.processors[handler]
        processor.pause()
        await runtime.send(Add("a", 3))
        await asyncio.sleep(10)
        assert (Switch.calls, processor.statistics().state, processor.statistics().lag_events) == ([], "paused", 1)
        processor.resume()
        await caught_up(runtime, handler)
        assert len(Switch.calls) == 1
        assert processor.statistics().state == "running"


@virtual
async def test_a_paused_processor_still_carries_out_operator_requests() -> None:
    Switch.raises.add(7)
    async with Runtime(PARTS, store="memory://") as runtime:
        await runtime.send(Add("a", 7))
        await caught_up(runtime, Totals)
        processor = runtime.processors[Totals]
        processor.pause()
        Switch.raises.clear()
        assert await processor.retry() == 1
        await processor.reset()
        assert processor.checkpoint.position == 0


@virtual
async def test_the_lag_is_the_number_of_events_and_the_age_of_the_oldest() -> None:
    source = SeededSource(1)
    store = MemoryStore()
    async with Runtime([Tally, Totals], store=store, source=source) as runtime:
        processor = runtime.processors[Totals]
        await runtime.send(Add("a", 1), wait_for=[Totals])
        source.time_us += 100 * _SECOND_US
        assert (processor.statistics().lag_events, processor.statistics().lag_s) == (0, 0.0)
        processor.pause()
        await runtime.send(Add("a", 1, events=2))
        source.time_us += 3 * _SECOND_US
        await runtime.send(Add("a", 1))
        source.time_us += 2 * _SECOND_US
        assert (processor.statistics().lag_events, processor.statistics().lag_s) == (3, 5.0)
    async with Runtime([Tally, Totals], store=store, source=source) as runtime:
        runtime.processors[Totals].pause()
        source.time_us += 10 * _SECOND_US
        statistics = runtime.processors[Totals].statistics()
        assert (statistics.state, statistics.lag_events, statistics.lag_s) == ("paused", 3, 15.0)
        runtime.processors[Totals].resume()
        await caught_up(runtime, Totals)
        assert runtime.processors[Totals].statistics().lag_s == 0


@virtual
async def test_the_statistics_of_the_runtime_hold_those_of_its_processors() -> None:
    async with Runtime([*PARTS, tell], store="memory://") as runtime:
        await runtime.send(Add("a", 1, events=3), wait_for=[Totals, Sums])
        await caught_up(runtime, tell)
        found = {one.name: (one.position, one.handled, one.parked) for one in runtime.statistics().processors}
        for name in ("projection Totals version 1", "projection Sums version 1", "reaction tell"):
            assert found[name] == (3, 3, 0)
        assert {runtime.processors[one] for one in (Totals, Sums, tell)} <= set(runtime.processors.values())


@react(name="tell version 2", on_replay="run")
async def tell_again(event: Added) -> None: ...


async def no_sink(event: CloudEvent) -> None: ...


class Pay(Saga):
    @starts
    def paid(self, event: Added) -> None: ...

    @step(undo=None)
    def add(self) -> Add:
        return Add("b", 1)


@virtual
async def test_a_processor_is_found_by_the_plain_name_of_its_handler() -> None:
    outlet = Outlet("post", types=[Added], sink=no_sink, source="/tallies", start="now")
    async with Runtime([*PARTS, tell_again, Pay, outlet], store="memory://") as runtime:
        names = {one.name: one.plain_name for one in runtime.processors.values()}
    assert names == {
        "projection Totals version 1": "Totals",
        "projection Sums version 1": "Sums",
        "reaction tell version 2": "tell version 2",
        "saga Pay": "Pay",
        "outlet post": "post",
        "sagas agenda 2": "agenda",
    }


@virtual
async def test_polling_makes_up_for_a_lost_notification() -> None:
    store = MemoryStore()
    async with Runtime([Tally, Totals], store=store, settings=Settings(poll_s=2.0)) as runtime:
        await settled()
        await append(store, ("Tally", "a"), 0, Added(5))  # past the runtime: nobody is told
        began = asyncio.get_running_loop().time()
        assert await runtime.query(Totals.of, "a", after=1) == 5
        assert asyncio.get_running_loop().time() - began <= 2.1


class Crumbling(Projection):
    """Its state cannot be folded a second time."""

    folds: int = 0

    @on
    def added(self, event: Added, recorded: RecordedEvent[Event]) -> None:
        Switch.calls.append(recorded.position)
        if len(Switch.calls) > 2 and Switch.raises:
            raise ValueError("not again")

    @query
    def count(self) -> int:
        return len(Switch.calls)


@virtual
async def test_a_failure_outside_an_event_stops_the_processor_until_a_retry_succeeds() -> None:
    async with Runtime([Tally, Totals, Crumbling], store="memory://") as runtime:
        await runtime.send(Add("a", 1, events=2), wait_for=[Totals, Crumbling])
        Switch.calls[:] = [0, 0, 0]
        Switch.raises.add(-1)
        await runtime.send(Add("a", 1))
        await settled()
        statistics = runtime.processors[Crumbling].statistics()
        assert (statistics.state, statistics.error) == ("failed", "ValueError: not again")
        assert (await runtime.send(Add("a", 1), wait_for=[Totals])).version == 4
        Switch.raises.clear()
        await runtime.query(Crumbling.count, after=4)
        assert runtime.processors[Crumbling].statistics().state == "running"


@virtual
async def test_a_request_while_the_store_is_unavailable_fails_and_the_processor_recovers() -> None:
    store = FaultyStore()
    async with Runtime([Tally, Totals], store=store) as runtime:
        await runtime.send(Add("a", 1), wait_for=[Totals])
        processor = runtime.processors[Totals]
        store.faults.extend(["before", "before"])
        with pytest.raises(StoreUnavailable):
            await processor.reset()
        await settled()
        assert processor.statistics().state == "waiting"
        assert "StoreUnavailable" in processor.statistics().error
        assert await runtime.query(Totals.of, "a", after=1) == 1
        store.faults.clear()
        await processor.reset()
        assert await runtime.query(Totals.of, "a", after=1) == 1


@virtual
async def test_a_request_whose_caller_leaves_before_it_begins_is_not_carried_out() -> None:
    async with Runtime([Tally, Totals], store="memory://") as runtime:
        await runtime.send(Add("a", 1), wait_for=[Totals])
        resetting = asyncio.ensure_future(runtime.processors[Totals].reset())
        await asyncio.sleep(0)
        resetting.cancel()
        await settled()
        assert Switch.calls == [1]


@virtual
async def test_a_stopped_processor_refuses_requests() -> None:
    async with Runtime([Tally, Totals], store="memory://") as runtime:
        processor = runtime.processors[Totals]
    with pytest.raises(RuntimeClosed):
        await processor.reset()
    assert processor.statistics().state == "stopped"
