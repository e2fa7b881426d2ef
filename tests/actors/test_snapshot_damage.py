"""A snapshot that is wrong, old or damaged causes a replay, never a wrong state."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs
from support.saved_tally import STREAM, Add, Added, Tally, add, changed, hydrated
from support.tables import cut_off, run_on
from support.virtual_time import virtual

from actorium import Runtime, evolve
from actorium.actors.snapshots import fingerprint_of
from actorium.errors import HydrationFailed
from actorium.store.event_store import AppendBatch, Snapshot
from actorium.store.memory import MemoryStore


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
def log(log_url: str) -> str:
    """A log with 23 events of one stream, its snapshot at version 20."""

    async def fill() -> None:
        async with Runtime([Tally], store=log_url) as runtime:
            await add(runtime, 23)
        async with Runtime([Tally], store=log_url) as runtime:
            assert (await hydrated(runtime)).total == sum(range(23))

    asyncio.run(fill())
    return log_url


def tamper(log: str, statement: str) -> list[tuple[Any, ...]]:
    return asyncio.run(run_on(log, statement))


def state_of(log: str) -> Any:
    async def read() -> Any:
        async with Runtime([Tally], store=log) as runtime:
            return await hydrated(runtime)

    return asyncio.run(read())


def flipped(text: bytes, bit: int) -> bytes:
    return bytes(byte ^ (1 << bit % 8) if n == bit // 8 else byte for n, byte in enumerate(text))


def test_the_log_holds_the_snapshot_that_the_other_tests_damage(log: str) -> None:
    ((version, state),) = tamper(log, "SELECT version, state FROM snapshots")
    assert (version, msgspec.json.decode(state)["total"]) == (20, sum(range(20)))


@pytest.mark.about("sqlite", "a server stores no text that is not UTF-8")
def test_flipped_bits_in_a_saved_state_cause_a_replay(log: str) -> None:
    ((state, checksum),) = tamper(log, "SELECT state, checksum FROM snapshots")
    expected = state_of(log)
    text = str(state).encode()
    for bit in range(0, len(text) * 8, 97):
        # A hydration that had to replay saves a good snapshot, so the damaged one is put back whole each time.
        damaged = f"state = CAST(X'{flipped(text, bit).hex()}' AS TEXT), checksum = {checksum}"
        assert tamper(log, f"UPDATE snapshots SET version = 20, {damaged} RETURNING version") == [(20,)]
        assert state_of(log) == expected, bit


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
        "state = replace(state, 'total\":', 'total\":-')",
        "STREAM = 9",
    ],
)
def test_a_damaged_row_causes_a_replay(log: str, change: str) -> None:
    expected = state_of(log)
    if log.startswith("postgresql"):
        change = change.replace("STREAM = 9", "stream_id = 'another'")
    try:
        assert len(tamper(log, f"UPDATE snapshots SET {change} RETURNING version")) == 1
    except (
        sqlite3.IntegrityError,
        asyncpg.DataError,
        asyncpg.SyntaxOrAccessError,
        asyncpg.IntegrityConstraintViolationError,
    ):
        return  # the database itself refuses such a row
    assert state_of(log) == expected


def test_a_stream_that_ends_before_its_snapshot_gives_no_state(log: str) -> None:
    asyncio.run(cut_off(log, after_position=18))
    with pytest.raises(HydrationFailed, match=r"version 20.*the stream ends at 18"):
        state_of(log)


def test_a_snapshot_of_another_stream_is_not_used(log: str) -> None:
    async def other() -> None:
        async with Runtime([Tally], store=log) as runtime:
            await add(runtime, 40, to="u")
            await runtime.get(Tally, "u")

    asyncio.run(other())
    expected = state_of(log)
    stream = "stream_id = 't'" if log.startswith("postgresql") else "stream = 1"
    tamper(log, f"DELETE FROM snapshots WHERE {stream}")
    tamper(log, f"UPDATE snapshots SET {stream}, version = 20")
    assert state_of(log) == expected
