"""The write-ahead log is extended ahead of small commits, and the unused rest is never read as data."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from support.stores import whole_log

from actorium.store.event_store import AppendBatch
from actorium.store.names import StreamName
from actorium.store.sqlite import SQLiteStore
from actorium.testing.contract_words import append

STREAM = StreamName("Account", "a")


async def write(store: SQLiteStore, after: int, count: int) -> None:
    for version in range(after, after + count):
        assert (await store.append(AppendBatch(1, [append(STREAM, version)]))).outcomes == [version + 1]


@pytest.mark.asyncio
async def test_a_small_commit_that_grew_the_log_leaves_room_for_those_after_it(tmp_path: Path) -> None:
    store, wal = SQLiteStore(tmp_path / "log.db"), tmp_path / "log.db-wal"
    await store.open()
    opened_bytes = wal.stat().st_size
    await write(store, 0, 1)
    size_bytes = wal.stat().st_size
    await write(store, 1, 20)
    assert wal.stat().st_size == size_bytes > opened_bytes + 262_144
    await store.close()


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
@pytest.mark.asyncio
async def test_no_room_is_made_if_commits_do_not_wait_for_the_disk(tmp_path: Path, synchronous: str) -> None:
    store = SQLiteStore(tmp_path / "log.db", synchronous=synchronous)
    await store.open()
    opened_bytes = (tmp_path / "log.db-wal").stat().st_size
    await write(store, 0, 20)
    assert (tmp_path / "log.db-wal").stat().st_size - opened_bytes < 262_144
    await store.close()


@pytest.mark.asyncio
async def test_a_large_commit_makes_no_room(tmp_path: Path) -> None:
    store, wal = SQLiteStore(tmp_path / "log.db"), tmp_path / "log.db-wal"
    await store.open()
    opened_bytes = wal.stat().st_size
    streams = [StreamName("Account", str(number)) for number in range(1_000)]
    await store.append(AppendBatch(1, [append(stream, 0) for stream in streams]))
    assert wal.stat().st_size - opened_bytes < 262_144
    await store.close()


@pytest.mark.asyncio
async def test_a_log_with_room_left_is_complete_after_a_crash(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await write(store, 0, 40)
    (tmp_path / "dead").mkdir()
    for name in ("log.db", "log.db-wal"):  # what a process that dies now leaves; the shared memory dies with it
        shutil.copy(tmp_path / name, tmp_path / "dead" / name)
    await store.close()
    found = SQLiteStore(tmp_path / "dead" / "log.db")
    await found.open()
    await write(found, 40, 10)
    assert [record.position for record in await whole_log(found)] == list(range(1, 51))
    assert await found.damage() == []
    await found.close()


@pytest.mark.asyncio
async def test_room_is_made_after_the_writes_of_another_program(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await write(store, 0, 5)
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("CREATE TABLE notes (note TEXT)")
    other.execute("INSERT INTO notes VALUES (printf('%.*c', 3000000, 'x'))")
    await write(store, 5, 5)
    assert other.execute("SELECT length(note) FROM notes").fetchone() == (3_000_000,)
    other.close()
    assert [record.position for record in await whole_log(store)] == list(range(1, 11))
    assert await store.damage() == []
    await store.close()
