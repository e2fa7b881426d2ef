"""Projections in memory: plain Python state, rebuilt from the log or from a saved state."""

import asyncio
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from support.bank import Add, Added, Tally
from support.read_models import AT_ONCE, Sums, Switch, caught_up, next_version, parked
from support.stores import FaultyStore, append
from support.virtual_time import virtual

from actorium import ConfigurationError, Event, Projection, RecordedEvent, Runtime, on, query
from actorium.store.memory import MemoryStore


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


async def log_of(*amounts: tuple[str, int]) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    versions: dict[str, int] = {}
    for id, amount in amounts:
        await append(store, ("Tally", id), versions.get(id, 0), Added(amount))
        versions[id] = versions.get(id, 0) + 1
    await store.close()
    return store


@virtual
async def test_a_query_waits_until_the_state_is_folded() -> None:
    store = await log_of(*[("a", 1)] * 9_000)
    for _ in range(2):
        async with Runtime([Tally, Sums], store=store) as runtime:
            assert await runtime.query(Sums.of, "a") == 9_000
    assert len(Switch.calls) == 18_000, "without snapshot_every the whole log is folded at each start"


@virtual
async def test_endless_commands_do_not_delay_the_first_answer() -> None:
    async with Runtime([Tally, Sums], store=await log_of(("a", 1))) as runtime:

        async def load(id: str) -> None:
            while True:
                await runtime.send(Add(id, 1))

        callers = [asyncio.ensure_future(load(f"t{n}")) for n in range(8)]
        assert await runtime.query(Sums.of, "a") == 1
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


@virtual
async def test_a_saved_state_avoids_the_rebuild() -> None:
    keeping: Any = type("Keeping", (Sums,), {"snapshot_every": 4})
    store = await log_of(*[("a", 1)] * 10)
    async with Runtime([Tally, keeping], store=store) as runtime:
        assert await runtime.query(keeping.of, "a") == 10
    Switch.calls.clear()
    async with Runtime([Tally, keeping], store=store) as runtime:
        await runtime.send(Add("a", 5), wait_for=[keeping])
        assert await runtime.query(keeping.of, "a") == 15
    assert Switch.calls == [11]


@virtual
async def test_a_new_version_or_other_fields_cause_a_rebuild() -> None:
    keeping: Any = type("Keeping", (Sums,), {"snapshot_every": 4})
    store = await log_of(*[("a", 1)] * 10)
    async with Runtime([Tally, keeping], store=store) as runtime:
        await caught_up(runtime, keeping)
    newer: Any = next_version(keeping)
    Switch.calls.clear()
    async with Runtime([Tally, newer], store=store) as runtime:
        assert await runtime.query(newer.of, "a") == 10
    assert len(Switch.calls) == 10


class Unkeepable(Projection):
    """Its state does not survive JSON."""

    snapshot_every = 1
    seen: Any = None

    @on
    def added(self, event: Added) -> None:
        self.seen = {1: event.amount} if event.amount == 1 else object()

    @query
    def is_there(self) -> bool:
        return self.seen is not None


@pytest.mark.parametrize("amount", [1, 2])
@virtual
async def test_a_state_that_cannot_be_saved_stops_nothing(amount: int) -> None:
    store = await log_of(("a", amount))
    for _ in range(2):
        async with Runtime([Tally, Unkeepable], store=store) as runtime:
            await runtime.send(Add("b", amount), wait_for=[Unkeepable])
            assert await runtime.query(Unkeepable.is_there)
            assert runtime.processors[Unkeepable].statistics().state == "running"


class Counting(Projection):
    """Its dict makes its entries by itself, which JSON forgets."""

    snapshot_every = 1
    counts: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))

    @on
    def added(self, event: Added, recorded: RecordedEvent[Event]) -> None:
        self.counts[recorded.stream_id] += event.amount

    @query
    def all(self) -> dict[str, int]:
        return dict(self.counts)


@virtual
async def test_a_state_whose_types_json_changes_is_rebuilt() -> None:
    store = await log_of(("a", 1))
    for name in ("b", "c"):
        async with Runtime([Tally, Counting], store=store) as runtime:
            await runtime.send(Add(name, 1), wait_for=[Counting])
            assert parked(runtime, Counting) == []
    async with Runtime([Tally, Counting], store=store) as runtime:
        assert await runtime.query(Counting.all) == {"a": 1, "b": 1, "c": 1}


@virtual
async def test_the_partial_changes_of_a_failed_handler_are_undone() -> None:
    store = await log_of(("a", 1), ("b", 7), ("a", 2), ("b", 3))
    Switch.raises.add(7)
    async with Runtime([Tally, Sums], store=store, settings=AT_ONCE) as runtime:
        assert await runtime.query(Sums.all, after=4, stale=True) == {"a": 3}
        assert await runtime.query(Sums.count) == 2
        assert parked(runtime, Sums) == [("b", 1)]
        Switch.raises.clear()
        await runtime.processors[Sums].retry()
        assert (await runtime.query(Sums.all), await runtime.query(Sums.count)) == ({"a": 3, "b": 10}, 4)


@virtual
async def test_an_answer_is_a_copy() -> None:
    async with Runtime([Tally, Sums], store=await log_of(("a", 1))) as runtime:
        answer = await runtime.query(Sums.all)
        answer["a"] = 1_000
        assert await runtime.query(Sums.all) == {"a": 1}


@virtual
async def test_a_reset_rebuilds_without_the_dead_letters() -> None:
    store = await log_of(("a", 1), ("b", 7))
    Switch.raises.add(7)
    async with Runtime([Tally, Sums], store=store, settings=AT_ONCE) as runtime:
        await caught_up(runtime, Sums)
        Switch.raises.clear()
        await runtime.processors[Sums].reset()
        assert await runtime.query(Sums.all, after=2) == {"a": 1, "b": 7}
        assert parked(runtime, Sums) == []


@virtual
async def test_a_store_failure_in_between_applies_nothing_twice() -> None:
    store = FaultyStore(await log_of(("a", 1), ("b", 7), ("a", 1)))
    store.faults.extend(["after", "before", "after"])
    Switch.raises.add(7)
    async with Runtime([Tally, Sums], store=store, settings=AT_ONCE) as runtime:
        assert await runtime.query(Sums.all, after=3) == {"a": 2}
        assert parked(runtime, Sums) == [("b", 1)]


def test_a_field_without_a_default_is_refused() -> None:
    class Needy(Projection):
        start: int

        @on
        def added(self, event: Added, recorded: RecordedEvent[Event]) -> None:
            self.start += 1

    with pytest.raises(ConfigurationError, match="has no default"):
        Runtime([Tally, Needy], store="memory://")
