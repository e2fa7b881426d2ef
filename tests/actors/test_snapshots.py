"""Snapshots: taken by policy, written behind the commands, and never the source of a wrong state."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from support.stores import FaultyStore, GatedStore
from support.virtual_time import settled, virtual

from actorium import (
    Aggregate,
    Command,
    ConfigurationError,
    Event,
    HydrationFailed,
    Passivation,
    Runtime,
    Settings,
    Snapshots,
    decide,
    evolve,
)
from actorium.actors.snapshots import fingerprint_of
from actorium.store.event_store import Batch, EventStore, Snapshot, StreamRead
from actorium.store.events import StreamName
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore


class Add(Command):
    amount: int = 1
    events: int = 1


class Added(Event):
    amount: int


class Line(msgspec.Struct):
    amount: int
    note: str = ""


class Tally(Aggregate):
    """Its state is larger than its total, so that a wrong way through JSON would show."""

    snapshots = Snapshots(every=5)

    total: int = 0
    lines: list[Line] = []  # noqa: RUF012
    seen: dict[int, set[str]] = {}  # noqa: RUF012

    @decide
    def add(self, command: Add) -> list[Added]:
        return [Added(command.amount) for _ in range(command.events)]

    @evolve
    def added(self, event: Added) -> None:
        self.total += event.amount
        self.lines.append(Line(event.amount, f"n{len(self.lines)}"))
        self.seen.setdefault(event.amount, set()).add("x")


STREAM = StreamName("Tally", "t")
ONE_LIVE = Settings(passivation=Passivation(max_live=1))


async def add(runtime: Runtime, count: int, *, to: str = "t") -> None:
    for n in range(count):
        await runtime.send(Add(to, n))


async def saved(store: EventStore, kind: type[Aggregate] = Tally) -> Snapshot | None:
    """Return the snapshot of the stream that the code of today would use."""
    fingerprint = fingerprint_of(kind.__definition__)
    return (await store.read_streams([StreamRead(STREAM, 0, 1, fingerprint)]))[0].snapshot


async def hydrated(runtime: Runtime, kind: type[Aggregate] = Tally) -> Any:
    return await runtime.get(kind, "t")


# --- taking ---------------------------------------------------------------------------------------------------------


@virtual
async def test_one_is_taken_when_the_stream_passes_a_multiple() -> None:
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
async def test_one_is_taken_when_the_predicate_says_so() -> None:
    class Large(Tally):
        snapshots = Snapshots(when=lambda state, version: state.total > 3 and version % 2 == 0)

    store = MemoryStore()
    async with Runtime([Large], store=store) as runtime:
        for version, taken in enumerate([0, 0, 0, 1, 1, 2], 1):
            await runtime.send(Add("t", 1))
            await settled()
            assert runtime.statistics().snapshots == taken, version


@virtual
async def test_none_is_taken_of_events_that_are_not_durable() -> None:
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
async def test_a_snapshot_is_of_its_version_however_far_the_actor_has_run_ahead() -> None:
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
async def test_snapshots_beyond_what_may_wait_are_left_out() -> None:
    class Eager(Tally):
        snapshots = Snapshots(every=1)

    store = GatedStore()
    async with Runtime([Eager], store=store, settings=Settings(max_snapshot_bytes=1)) as runtime:
        await asyncio.gather(*(runtime.send(Add(f"t{n}", 1)) for n in range(20)))
        await settled()
        statistics = runtime.statistics()
        assert statistics.snapshots + statistics.snapshots_left_out == 20
        assert statistics.snapshots >= 1
        assert statistics.snapshots_left_out >= 1


@virtual
async def test_a_failed_write_of_a_snapshot_troubles_nobody() -> None:
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
async def test_a_state_that_json_would_change_is_not_saved_and_said_once(amount: int, field: str) -> None:
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


def test_a_policy_is_checked_where_it_is_written() -> None:
    with pytest.raises(ConfigurationError, match="give one of every= and when="):
        Snapshots()
    with pytest.raises(ConfigurationError, match="give one of every= and when="):
        Snapshots(every=1, when=lambda state, version: True)
    with pytest.raises(ConfigurationError, match="1 or more"):
        Snapshots(every=0)
    with pytest.raises(ConfigurationError, match=r"Wrong\.snapshots is 200: it is the policy"):

        class Wrong(Aggregate):
            snapshots = 200  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match=r"Unversioned\.state_version is '2': it is a whole number"):

        class Unversioned(Aggregate):
            state_version = "2"  # type: ignore[assignment]


# --- the fingerprint ------------------------------------------------------------------------------------------------


def changed(**body: Any) -> type[Aggregate]:
    """Return Tally with something changed."""
    annotations = body.pop("annotations", {})
    namespace = {"__module__": __name__, "__qualname__": "Tally", "__annotations__": annotations, **body}
    return type(Aggregate)("Tally", (Tally,), {"stream_type": "Tally", **namespace})


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
def test_what_changes_the_meaning_of_a_state_changes_the_fingerprint(body: dict[str, Any]) -> None:
    same = changed(added=evolver("self.total += event.amount"))
    other = changed(**{"added": evolver("self.total += event.amount"), **body})
    assert fingerprint_of(other.__definition__) != fingerprint_of(same.__definition__)


# --- never a wrong state --------------------------------------------------------------------------------------------


@virtual
async def test_hydration_begins_at_the_snapshot_and_applies_what_is_later() -> None:
    class Watched(Tally):
        stream_type = "Tally"

        @evolve
        def added(self, event: Added) -> None:
            applied.append(event.amount)
            self.total += event.amount

    applied: list[int] = []
    store = MemoryStore()
    async with Runtime([Watched], store=store) as runtime:
        await add(runtime, 12)
    applied.clear()
    async with Runtime([Watched], store=store) as runtime:
        state = await hydrated(runtime, Watched)
        ack = await runtime.send(Add("t", 1000))
    assert state.total == sum(range(12))
    assert applied == [10, 11, 1000]
    assert ack.version == 13


@pytest.mark.parametrize("body", [{"state_version": 2}, {"annotations": {"count": int}, "count": 0}], ids=str)
def test_a_changed_class_replays(body: dict[str, Any]) -> None:
    @virtual
    async def run() -> None:
        store = MemoryStore()
        async with Runtime([changed()], store=store) as runtime:
            await add(runtime, 12)
        await store.open()
        await store.commit(Batch(0, snapshots=[lie(fingerprint_of(changed().__definition__))]))
        await store.close()
        newer = changed(**body)
        async with Runtime([newer], store=store) as runtime:
            assert (await hydrated(runtime, newer)).total == sum(range(12))

    run()


def lie(fingerprint: str) -> Snapshot:
    """Return a snapshot of a state that never was: whoever begins at it is found out."""
    return Snapshot(STREAM, 12, fingerprint, b'{"id":"t","total":-1}')


@pytest.mark.parametrize(
    "state", [b"", b"[]", b'{"id":"t","total":"x"}', b'{"id":"u","total":5}', b'{"total":5}', b'{"id":"t","seen":7}']
)
def test_a_snapshot_that_fits_no_state_means_replay_said_once(state: bytes) -> None:
    @virtual
    async def run() -> None:
        store = MemoryStore()
        async with Runtime([Tally], store=store) as runtime:
            await add(runtime, 12)
        await store.open()
        unfit = Snapshot(STREAM, 12, fingerprint_of(Tally.__definition__), state)
        await store.commit(Batch(0, snapshots=[unfit]))
        await store.close()
        with capture_logs() as logs:
            async with Runtime([Tally], store=store) as runtime:
                assert (await hydrated(runtime)).total == sum(range(12))
        assert [entry["stream"] for entry in logs if entry["event"] == "snapshot_unreadable"] == ["Tally<t>"]

    run()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with 23 events of one stream, its snapshot at version 20."""

    async def fill() -> None:
        async with Runtime([Tally], store=SQLiteStore(tmp_path / "log.db")) as runtime:
            await add(runtime, 23)
        async with Runtime([Tally], store=SQLiteStore(tmp_path / "log.db")) as runtime:
            assert (await hydrated(runtime)).total == sum(range(23))

    asyncio.run(fill())
    return tmp_path / "log.db"


def tamper(path: Path, statement: str, *values: object) -> int:
    db = sqlite3.connect(path)
    with db:
        changes = db.execute(statement, values).rowcount
    db.close()
    return changes


def state_of(path: Path) -> Any:
    async def read() -> Any:
        async with Runtime([Tally], store=SQLiteStore(path)) as runtime:
            return await hydrated(runtime)

    return asyncio.run(read())


def flipped(text: bytes, bit: int) -> bytes:
    return bytes(byte ^ (1 << bit % 8) if n == bit // 8 else byte for n, byte in enumerate(text))


def test_the_log_holds_the_snapshot_that_the_other_tests_damage(path: Path) -> None:
    db = sqlite3.connect(path)
    assert db.execute("SELECT version, json_extract(state, '$.total') FROM snapshots").fetchall() == [
        (20, sum(range(20)))
    ]
    db.close()


def test_flipped_bits_of_a_saved_state_mean_replay(path: Path) -> None:
    db = sqlite3.connect(path)
    text, checksum = db.execute("SELECT CAST(state AS BLOB), checksum FROM snapshots").fetchone()
    db.close()
    expected = state_of(path)
    for bit in range(0, len(text) * 8, 97):
        # A hydration that had to replay saves a good snapshot, so the damaged one is put back whole each time.
        damaged = (flipped(text, bit), checksum)
        assert tamper(path, "UPDATE snapshots SET version = 20, state = CAST(? AS TEXT), checksum = ?", *damaged) == 1
        assert state_of(path) == expected, bit


@pytest.mark.parametrize(
    "change",
    [
        "version = 19",
        "version = 21",
        "version = 'x'",
        "checksum = checksum + 1",
        "checksum = NULL",
        "fingerprint = 'another'",
        "state = ''",
        "state = 7",
        "state = json_set(state, '$.total', -1)",
        "stream = 9",
    ],
)
def test_a_damaged_row_means_replay(path: Path, change: str) -> None:
    expected = state_of(path)
    try:
        assert tamper(path, f"UPDATE snapshots SET {change}") == 1
    except sqlite3.IntegrityError:
        return  # the database itself refuses such a row
    assert state_of(path) == expected


def test_a_stream_that_ends_before_its_snapshot_is_no_state_at_all(path: Path) -> None:
    tamper(path, "DELETE FROM events WHERE version > 18")
    with pytest.raises(HydrationFailed, match=r"version 20.*the stream ends at 18"):
        state_of(path)


def test_a_snapshot_of_another_stream_is_not_taken_for_this_one(path: Path) -> None:
    async def other() -> None:
        async with Runtime([Tally], store=SQLiteStore(path)) as runtime:
            await add(runtime, 40, to="u")
            await runtime.get(Tally, "u")

    asyncio.run(other())
    expected = state_of(path)
    tamper(path, "DELETE FROM snapshots WHERE stream = 1")
    tamper(path, "UPDATE snapshots SET stream = 1, version = 20")
    assert state_of(path) == expected
