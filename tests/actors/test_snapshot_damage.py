"""A snapshot that is wrong, old or damaged causes a replay, never a wrong state."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.saved_tally import STREAM, Add, Added, Tally, add, changed, hydrated
from support.stores import cut_off
from support.virtual_time import virtual

from actorium import Runtime, evolve
from actorium.actors.snapshots import fingerprint_of
from actorium.errors import HydrationFailed
from actorium.store.event_store import AppendBatch, Snapshot
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

pytestmark = pytest.mark.about("sqlite")
"""The tests change rows of the file."""


@virtual
async def test_hydration_starts_at_the_snapshot_and_applies_later_events() -> None:
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
        await store.append(AppendBatch(0, snapshots=[lie(fingerprint_of(changed().__definition__))]))
        await store.close()
        newer = changed(**body)
        async with Runtime([newer], store=store) as runtime:
            assert (await hydrated(runtime, newer)).total == sum(range(12))

    run()


def lie(fingerprint: str) -> Snapshot:
    """Return a snapshot of a state that never existed, to show whether hydration starts from it."""
    return Snapshot(STREAM, 12, fingerprint, b'{"id":"t","total":-1}')


@pytest.mark.parametrize(
    "state", [b"", b"[]", b'{"id":"t","total":"x"}', b'{"id":"u","total":5}', b'{"total":5}', b'{"id":"t","seen":7}']
)
def test_a_snapshot_that_fits_no_state_causes_a_replay_and_one_log_line(state: bytes) -> None:
    @virtual
    async def run() -> None:
        store = MemoryStore()
        async with Runtime([Tally], store=store) as runtime:
            await add(runtime, 12)
        await store.open()
        unfit = Snapshot(STREAM, 12, fingerprint_of(Tally.__definition__), state)
        await store.append(AppendBatch(0, snapshots=[unfit]))
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
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(statement, values).rowcount


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


def test_flipped_bits_in_a_saved_state_cause_a_replay(path: Path) -> None:
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
def test_a_damaged_row_causes_a_replay(path: Path, change: str) -> None:
    expected = state_of(path)
    try:
        assert tamper(path, f"UPDATE snapshots SET {change}") == 1
    except sqlite3.IntegrityError:
        return  # the database itself refuses such a row
    assert state_of(path) == expected


def test_a_stream_that_ends_before_its_snapshot_gives_no_state(path: Path) -> None:
    cut_off(path, after_position=18)
    with pytest.raises(HydrationFailed, match=r"version 20.*the stream ends at 18"):
        state_of(path)


def test_a_snapshot_of_another_stream_is_not_used(path: Path) -> None:
    async def other() -> None:
        async with Runtime([Tally], store=SQLiteStore(path)) as runtime:
            await add(runtime, 40, to="u")
            await runtime.get(Tally, "u")

    asyncio.run(other())
    expected = state_of(path)
    tamper(path, "DELETE FROM snapshots WHERE stream = 1")
    tamper(path, "UPDATE snapshots SET stream = 1, version = 20")
    assert state_of(path) == expected
