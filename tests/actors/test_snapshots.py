"""Snapshots: taken by policy, written after the commands, and valid only for the code that wrote them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from support.saved_tally import Add, Added, Line, Tally, add, changed, hydrated, saved
from support.stores import FaultyStore, GatedStore
from support.virtual_time import settled, virtual

from actorium import Aggregate, ConfigurationError, Runtime, Settings, Snapshots, decide, evolve
from actorium.actors.snapshots import fingerprint_of
from actorium.store.memory import MemoryStore

# --- taking ---------------------------------------------------------------------------------------------------------


@virtual
async def test_a_snapshot_is_taken_when_the_stream_passes_a_multiple() -> None:
    store = MemoryStore()
    async with Runtime([Tally], store=store) as runtime:
        await add(runtime, 4)
        assert await saved(store) is None
        await runtime.send(Add("t", 1, events=3))
        await settled()
        snapshot = await saved(store)
        assert snapshot is not None
        assert snapshot.version == 7
        assert runtime.statistics().snapshots == 1
        await add(runtime, 2)
        await settled()
        assert runtime.statistics().snapshots == 1
        await add(runtime, 1)
        await settled()
        assert runtime.statistics().snapshots == 2


@virtual
async def test_a_snapshot_is_taken_when_the_predicate_is_true() -> None:
    class Large(Tally):
        snapshots = Snapshots(when=lambda state, version: state.total > 3 and version % 2 == 0)

    store = MemoryStore()
    async with Runtime([Large], store=store) as runtime:
        for version, taken in enumerate([0, 0, 0, 1, 1, 2], 1):
            await runtime.send(Add("t", 1))
            await settled()
            assert runtime.statistics().snapshots == taken, version


@virtual
async def test_no_snapshot_is_taken_of_events_that_are_not_durable() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await add(runtime, 4)
        store.faults.append("before")
        with pytest.raises(Exception, match="the disk is full"):
            await runtime.send(Add("t", 100))
        await settled()
        assert await saved(store) is None
        await runtime.send(Add("t", 7))
        await settled()
        snapshot = await saved(store)
        assert snapshot is not None
        assert msgspec.json.decode(snapshot.state)["total"] == 0 + 1 + 2 + 3 + 7


@virtual
async def test_a_snapshot_has_the_state_of_its_version_even_if_the_actor_is_ahead() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        sent = [asyncio.ensure_future(runtime.send(Add("t", n))) for n in range(23)]
        await settled()
        store.let_through()
        await asyncio.gather(*sent)
        await settled()
        snapshot = await saved(store)
        assert snapshot is not None
        # One in flight is enough: the multiples passed meanwhile are left out.
        assert snapshot.version in (5, 10, 15, 20)
        assert msgspec.json.decode(snapshot.state)["total"] == sum(range(snapshot.version))


@virtual
async def test_a_class_without_a_policy_saves_nothing() -> None:
    class Plain(Tally):
        snapshots = None

    store = GatedStore()
    async with Runtime([Plain], store=store) as runtime:
        await add(runtime, 20)
    assert [batch.snapshots for batch in store.batches if batch.snapshots] == []


@virtual
async def test_snapshots_beyond_the_limit_are_skipped() -> None:
    class Eager(Tally):
        snapshots = Snapshots(every=1)

    store = GatedStore()
    async with Runtime([Eager], store=store, settings=Settings(max_snapshot_bytes=1)) as runtime:
        await asyncio.gather(*(runtime.send(Add(f"t{n}", 1)) for n in range(20)))
        await settled()
        statistics = runtime.statistics()
        assert statistics.snapshots + statistics.snapshots_skipped == 20
        assert statistics.snapshots >= 1
        assert statistics.snapshots_skipped >= 1


@virtual
async def test_a_failed_snapshot_write_affects_nothing_else() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await add(runtime, 4)
        store.faults.extend(["none", "before"])  # the fifth event is written, its snapshot is not
        await add(runtime, 1)
        await settled()
        assert await saved(store) is None
        assert runtime.statistics().snapshots == 0
        await add(runtime, 5)
        await settled()
        assert (await saved(store)) is not None


@virtual
async def test_a_long_hydration_ends_with_a_snapshot() -> None:
    class Plain(Tally):
        stream_type = "Tally"
        snapshots = None

    store = MemoryStore()
    async with Runtime([Plain], store=store) as runtime:
        await add(runtime, 12)
    async with Runtime([Tally], store=store) as runtime:
        assert (await hydrated(runtime)).total == sum(range(12))
        await settled()
        snapshot = await saved(store)
        assert snapshot is not None
        assert snapshot.version == 12


# --- states that JSON would change ----------------------------------------------------------------------------------


class Unfaithful(Aggregate):
    snapshots = Snapshots(every=1)

    stream_type = "Tally"
    ratio: float = 0.0
    anything: Any = None

    @decide
    def add(self, command: Add) -> Added:
        return Added(command.amount)

    @evolve
    def added(self, event: Added) -> None:
        self.ratio = event.amount  # an int, which JSON gives back as a float
        if event.amount == 13:
            self.anything = (1, 2)


@pytest.mark.parametrize(("amount", "field"), [(1, "ratio"), (13, "ratio")])
@virtual
async def test_a_state_that_json_would_change_is_not_saved_and_logged_once(amount: int, field: str) -> None:
    store = GatedStore()
    with capture_logs() as logs:
        async with Runtime([Unfaithful], store=store) as runtime:
            await runtime.send(Add("t", amount))
            await runtime.send(Add("t", amount))
    assert [batch.snapshots for batch in store.batches if batch.snapshots] == []
    (warning,) = [entry for entry in logs if entry["event"] == "snapshots_not_taken"]
    assert warning["aggregate"] == "Unfaithful"
    assert f"the field {field} changes when it is stored as JSON" in warning["reason"]


@virtual
async def test_a_predicate_that_raises_fails_no_command() -> None:
    class Faulty(Tally):
        snapshots = Snapshots(when=lambda state, version: 1 // 0 > 0)

    with capture_logs() as logs:
        async with Runtime([Faulty], store="memory://") as runtime:
            await add(runtime, 3)
            assert (await runtime.get(Faulty, "t")).total == 3
    (warning,) = [entry for entry in logs if entry["event"] == "snapshots_not_taken"]
    assert "Snapshots(when=…) raised ZeroDivisionError" in warning["reason"]


def test_a_policy_is_checked_when_the_class_is_defined() -> None:
    with pytest.raises(ConfigurationError, match="give either every= or when="):
        Snapshots()
    with pytest.raises(ConfigurationError, match="give either every= or when="):
        Snapshots(every=1, when=lambda state, version: True)
    with pytest.raises(ConfigurationError, match="1 or more"):
        Snapshots(every=0)
    with pytest.raises(ConfigurationError, match=r"Wrong\.snapshots is 200, but the name is reserved for the policy"):

        class Wrong(Aggregate):
            snapshots = 200  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match=r"Unversioned\.state_version is '2': must be an integer"):

        class Unversioned(Aggregate):
            state_version = "2"  # type: ignore[assignment]


# --- the fingerprint ------------------------------------------------------------------------------------------------


class LineWithTax(msgspec.Struct):
    amount: int
    note: str = ""
    tax: int = 0


def evolver(text: str) -> Any:
    """Return an @evolve method whose body is `text`."""
    names: dict[str, Any] = {"Added": Added}
    exec(f"def added(self, event: Added) -> None:\n    {text}", names)
    return evolve(names["added"])


def test_the_same_code_has_the_same_fingerprint() -> None:
    assert fingerprint_of(changed().__definition__) == fingerprint_of(changed().__definition__)


@pytest.mark.parametrize(
    "body",
    [
        {"stream_type": "Other"},
        {"state_version": 2},
        {"annotations": {"count": int}, "count": 0},
        {"annotations": {"total": float}, "total": 0.0},
        {"annotations": {"total": int}, "total": 1},
        {"annotations": {"lines": list[LineWithTax]}, "lines": []},
        {"annotations": {"lines": tuple[Line, ...]}, "lines": ()},
        {"added": evolver("self.total -= event.amount")},
        {"added": evolver("self.total += event.amount + 1")},
    ],
    ids=lambda body: "+".join(body),
)
def test_a_change_in_the_meaning_of_a_state_changes_the_fingerprint(body: dict[str, Any]) -> None:
    same = changed(added=evolver("self.total += event.amount"))
    other = changed(**{"added": evolver("self.total += event.amount"), **body})
    assert fingerprint_of(other.__definition__) != fingerprint_of(same.__definition__)


class Grouped(Aggregate):
    snapshots = Snapshots(every=1)
    groups: dict[str, dict[str, int]] = {}

    @decide
    def add(self, command: Add) -> Added:
        return Added(command.amount)

    @evolve
    def added(self, event: Added) -> None:
        if event.amount > 2:
            self.groups.setdefault("late", defaultdict(int))["a"] += 1


@virtual
@pytest.mark.parametrize(("development", "taken"), [(False, 3), (True, 2)])
async def test_a_later_type_change_is_found_soon_and_in_development_immediately(development: bool, taken: int) -> None:
    store = GatedStore()
    async with Runtime([Grouped], store=store, settings=Settings(development=development)) as runtime:
        for amount in range(1, 7):  # from the third on, the state holds a defaultdict, which JSON makes a dict
            await runtime.send(Add("t", amount))
    assert sum(len(batch.snapshots) for batch in store.batches) == taken
