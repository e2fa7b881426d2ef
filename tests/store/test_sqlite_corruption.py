"""Damage in the file gives an error that names the event, never different data."""

import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorium.store.errors import (
    ActoriumError,
    CorruptEvent,
    CorruptStore,
    StoreUnavailable,
    UnreadableEvent,
    VersionGap,
)
from actorium.store.event_store import Append, AppendBatch, Snapshot, StreamRead
from actorium.store.events import EncodedEvent
from actorium.store.names import StreamName
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.integrity.repair import repair_file
from actorium.testing.contract_words import ALICE, BOB, append, read, versions

FILE = "log.db"


async def given_a_log(path: Path) -> None:
    """Alice has versions 1 to 5 at positions 1, 2, 3, 5, 6; Bob has one event at position 4."""
    store = SQLiteStore(path)
    await store.open()
    withdrawn = Append(ALICE, 3, (EncodedEvent("Withdrawn", 2, b'{"amount":1}', b"{}"),))
    snapshot = Snapshot(ALICE, 2, "f", b'{"balance":3}')
    await store.append(
        AppendBatch(
            1_000, [append(ALICE, 0, 3, "c1"), append(BOB, 0), withdrawn, append(ALICE, 4)], snapshots=[snapshot]
        )
    )
    await store.close()


def damage(path: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        changed = db.execute(sql).rowcount
        assert changed > 0, "the test damages nothing"


@contextlib.asynccontextmanager
async def opened(path: Path, *, verify_mb: int = 64) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, verify_mb=verify_mb)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def read_whole(store: SQLiteStore, stream: StreamName, limit: int) -> None:
    after = 0
    while page := await read(store, stream, after, limit):
        after = page[-1].version


AT_3 = "WHERE position = 3"  # version 3 of alice's, a Deposited


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (f"UPDATE events SET payload = replace(payload, '3', '4') {AT_3}", "checksum"),
        (f"UPDATE events SET payload = payload || ' ' {AT_3}", "checksum"),
        (f"UPDATE events SET payload = 'a' || char(10) || 'b' {AT_3}", "checksum"),
        (f"UPDATE events SET payload = '' {AT_3}", "checksum"),
        (f"UPDATE events SET payload = x'ff00fe' {AT_3}", "checksum"),
        (f"UPDATE events SET payload = 17 {AT_3}", "checksum"),
        (f"UPDATE events SET metadata = '{{}}' {AT_3}", "checksum"),
        (f"UPDATE events SET recorded_us = recorded_us + 1 {AT_3}", "checksum"),
        (f"UPDATE events SET recorded_us = 'noon' {AT_3}", "not a number"),
        (f"UPDATE events SET recorded_us = 1000.5 {AT_3}", "not a number"),
        (f"UPDATE events SET checksum = checksum - 1 {AT_3}", "checksum"),
        (f"UPDATE events SET checksum = 'none' {AT_3}", "checksum"),
        (
            f"UPDATE events SET type = (SELECT id FROM event_types WHERE name = 'Withdrawn') {AT_3}",
            "a manual edit changed it",
        ),
        (f"UPDATE events SET type = 99 {AT_3}", "event type 99 at .* not in the table"),
        (f"UPDATE events SET type = 'Deposited' {AT_3}", "not in the table"),
        ("UPDATE event_types SET name = 'Deposit' WHERE name = 'Deposited'", "Deposit at"),
        ("UPDATE event_types SET schema_version = 3 WHERE name = 'Deposited'", "a manual edit changed it"),
        ("UPDATE event_types SET schema_version = 'one' WHERE name = 'Deposited'", "a manual edit changed it"),
    ],
)
@pytest.mark.asyncio
async def test_a_changed_event_is_refused_by_name(tmp_path: Path, sql: str, words: str) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, sql)
    async with opened(tmp_path / FILE) as store:
        with pytest.raises(CorruptEvent, match=words) as caught:
            await read(store, ALICE)
        assert caught.value.stream == ALICE
        if "event_types" not in sql:
            assert caught.value.version == 3
        with pytest.raises(CorruptEvent, match=words):
            await store.read_log(0, 10)
        if "event_types" not in sql:
            assert await versions(store, BOB) == [1], "only the damaged stream is out of reach"


@pytest.mark.parametrize(
    ("sql", "version"),
    [
        ("DELETE FROM events WHERE position = 1", 1),
        ("DELETE FROM events WHERE position IN (2, 3)", 2),
    ],
)
@pytest.mark.asyncio
async def test_a_gap_in_the_versions_is_found(tmp_path: Path, sql: str, version: int) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, sql)
    async with opened(tmp_path / FILE) as store:
        for limit in (1, 2, 10):
            with pytest.raises(VersionGap, match="removed from the log") as caught:
                await read_whole(store, ALICE, limit)
            assert (caught.value.stream, caught.value.version) == (ALICE, version)


@pytest.mark.parametrize("change", ["version = 9", "version = 'three'", "stream = 2"])
@pytest.mark.asyncio
async def test_an_event_at_another_place_than_its_index_says_refuses_the_opening(tmp_path: Path, change: str) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, f"UPDATE events SET {change} {AT_3}")
    with pytest.raises(CorruptStore, match="does not match the event at position 3"):
        await SQLiteStore(tmp_path / FILE).open()
    async with opened(tmp_path / FILE, verify_mb=0) as store:
        assert (await versions(store, ALICE), await versions(store, BOB)) == ([1, 2, 3, 4, 5], [1])
        with pytest.raises(CorruptEvent):
            await store.read_log(0, 10)


@pytest.mark.asyncio
async def test_a_gap_in_the_positions_is_found(tmp_path: Path) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, "DELETE FROM events WHERE position = 4")
    async with opened(tmp_path / FILE) as store:
        assert len(await store.read_log(0, 3)) == 3
        for after, limit in ((3, 1), (0, 10)):
            with pytest.raises(VersionGap, match="position 5 follows position 3") as caught:
                await store.read_log(after, limit)
            assert (caught.value.stream, caught.value.version, caught.value.event_type) == (ALICE, 4, "Withdrawn")


@pytest.mark.asyncio
async def test_an_event_without_a_stream_is_refused(tmp_path: Path) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, "DELETE FROM streams WHERE name = 'bob'")
    async with opened(tmp_path / FILE) as store:
        with pytest.raises(CorruptEvent):
            await store.read_log(0, 10)


@pytest.mark.parametrize("column", ["version = 1", "state = '{}'", "state = 7", "checksum = 1", "fingerprint = 'g'"])
@pytest.mark.asyncio
async def test_a_damaged_snapshot_is_ignored(tmp_path: Path, column: str) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, f"UPDATE snapshots SET {column}")
    async with opened(tmp_path / FILE) as store:
        for fingerprint in ("f", "g"):
            (page,) = await store.read_streams([StreamRead(ALICE, 0, 10, fingerprint)])
            assert page.snapshot is None
            assert [record.version for record in page.events] == [1, 2, 3, 4, 5]


@pytest.mark.asyncio
async def test_a_stream_that_ends_before_its_snapshot_is_refused(tmp_path: Path) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, "DELETE FROM stream_versions WHERE version > 1")
    async with opened(tmp_path / FILE, verify_mb=0) as store:
        with pytest.raises(VersionGap, match=r"snapshot .* ends at 1"):
            await store.read_streams([StreamRead(ALICE, 0, 10, "f")])


@pytest.mark.asyncio
async def test_a_log_that_lost_its_end_is_refused_and_cannot_be_repaired(tmp_path: Path) -> None:
    await given_a_log(tmp_path / FILE)
    damage(tmp_path / FILE, "DELETE FROM events WHERE position > 4")
    for verify_mb in (0, 64):
        with pytest.raises(CorruptStore, match="index of streams"):
            await SQLiteStore(tmp_path / FILE, verify_mb=verify_mb).open()
    with pytest.raises(CorruptStore, match="ends at position 4, but an index lists later"):
        repair_file(str(tmp_path / FILE))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.asyncio
async def test_random_bytes_in_the_file_never_change_an_event_silently(tmp_path: Path, seed: int) -> None:
    """Every returned event is as it was written, in its place; the rest is an error, or missing at a stream's end."""
    chance = random.Random(seed)
    path, names = tmp_path / FILE, [StreamName("Account", str(number)) for number in range(40)]
    store = SQLiteStore(path)
    await store.open()
    for version in range(20):
        await store.append(AppendBatch(1_000 + version, [append(name, version) for name in names]))
    reads = [StreamRead(name) for name in names]
    written = {name: page.events for name, page in zip(names, await store.read_streams(reads), strict=True)}
    await store.close()
    intact = path.read_bytes()
    refused = 0
    for _ in range(25):
        bytes_ = bytearray(intact)
        for _ in range(3):
            bytes_[chance.randrange(len(bytes_))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes_)
        try:
            async with opened(path) as store:
                for name in names:
                    try:
                        found = await read(store, name)
                    except (UnreadableEvent, StoreUnavailable):
                        refused += 1
                        continue
                    assert found == written[name][: len(found)]
        except ActoriumError:
            refused += 1
    assert refused, "no flip was ever noticed: the test flips nothing that matters"
