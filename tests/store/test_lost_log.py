"""If acknowledged events are missing, opening the log fails and starts no new log in its place."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actorium.store.errors import CorruptStore
from actorium.store.sqlite import SQLiteStore, adapter
from actorium.testing.contract_words import ALICE, append, commit, versions

COMMITS = 5

KILLED = f"""
import asyncio, os, signal, sys
from actorium.store.sqlite import SQLiteStore
from actorium.testing.contract_words import ALICE, append, commit

async def work():
    store = SQLiteStore(sys.argv[1], synchronous=sys.argv[2])
    await store.open()
    for version in range({COMMITS}):
        await commit(store, append(ALICE, version))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(work())
"""


async def given_a_closed_log(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await commit(store, append(ALICE, 0))
    await store.close()


def given_a_killed_log(path: Path, synchronous: str = "FULL") -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(path), synchronous], check=False)
    assert (path.parent / f"{path.name}-wal").stat().st_size > 0


async def then_it_holds(path: Path, expected: list[int]) -> None:
    store = SQLiteStore(path)
    await store.open()
    assert await versions(store, ALICE) == expected
    await store.close()


def unlink(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("lose", "word"), [(unlink, "missing"), (empty, "empty")])
@pytest.mark.asyncio
async def test_a_file_lost_beside_its_seal_is_refused(tmp_path: Path, lose: Callable[[Path], None], word: str) -> None:
    path = tmp_path / "log.db"
    await given_a_closed_log(path)
    lose(path)
    for read_only in (False, True):
        with pytest.raises(CorruptStore, match=rf"log\.db is {word}, but .*log\.db\.seal shows that there was a log"):
            await SQLiteStore(path).open(read_only=read_only)
    assert not path.exists() or path.stat().st_size == 0
    (tmp_path / "log.db.seal").unlink()
    await then_it_holds(path, [])


@pytest.mark.parametrize("lose", [unlink, empty])
@pytest.mark.asyncio
async def test_a_file_lost_beside_its_write_ahead_log_is_refused(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    path = tmp_path / "log.db"
    given_a_killed_log(path)
    lose(path)
    with pytest.raises(CorruptStore, match=r"log\.db-wal shows that there was a log"):
        await SQLiteStore(path).open()
    assert (tmp_path / "log.db-wal").stat().st_size > 0


@pytest.mark.parametrize("lose", [unlink, empty, cut, flip])
@pytest.mark.asyncio
async def test_a_write_ahead_log_without_acknowledged_events_is_refused(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "log.db"
    given_a_killed_log(path)
    # Without the room made ahead of commits, so that what is lost holds something.
    wal = tmp_path / "log.db-wal"
    os.truncate(wal, len(wal.read_bytes().rstrip(b"\0")))
    lose(wal)
    for _ in range(2):
        with pytest.raises(CorruptStore, match=rf"ends at position \d, but events up to {COMMITS} were acknowledged"):
            await SQLiteStore(path).open()
    (tmp_path / "log.db.head").unlink()
    store = SQLiteStore(path)
    await store.open()
    assert len(await versions(store, ALICE)) < COMMITS
    await store.close()


@pytest.mark.asyncio
async def test_after_a_kill_everything_acknowledged_is_there_and_a_clean_close_removes_the_mark(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    given_a_killed_log(path)
    assert (tmp_path / "log.db.head").exists()
    await then_it_holds(path, [1, 2, 3, 4, 5])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.db", "log.db.lock", "log.db.seal"]


@pytest.mark.asyncio
async def test_after_a_clean_close_an_older_copy_may_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await given_a_closed_log(path)
    copy = path.read_bytes()
    store = SQLiteStore(path)
    await store.open()
    await commit(store, append(ALICE, 1))
    await store.close()
    path.write_bytes(copy)
    await then_it_holds(path, [1])


@pytest.mark.asyncio
async def test_a_damaged_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given_a_killed_log(path)
    flip(tmp_path / "log.db.head")
    (tmp_path / "log.db-wal").unlink()
    await then_it_holds(path, [])


@pytest.mark.asyncio
async def test_commits_that_are_not_flushed_are_not_marked(tmp_path: Path) -> None:
    given_a_killed_log(tmp_path / "log.db", "NORMAL")
    assert not (tmp_path / "log.db.head").exists()
    given_a_killed_log(tmp_path / "full.db")
    store = SQLiteStore(tmp_path / "full.db", synchronous="NORMAL")
    await store.open()
    assert not (tmp_path / "full.db.head").exists()
    await store.close()


@pytest.mark.asyncio
async def test_a_log_works_without_a_mark(tmp_path: Path) -> None:
    (tmp_path / "log.db.head").mkdir()
    await given_a_closed_log(tmp_path / "log.db")
    await then_it_holds(tmp_path / "log.db", [1])


@pytest.mark.asyncio
async def test_a_log_that_grows_while_a_reader_opens_it_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = SQLiteStore(tmp_path / "log.db"), SQLiteStore(tmp_path / "log.db")
    await writer.open()
    await commit(writer, append(ALICE, 0))
    loop, read_end = asyncio.get_running_loop(), adapter.last_position

    def overtaken(db: sqlite3.Connection) -> int:
        position = read_end(db)
        asyncio.run_coroutine_threadsafe(commit(writer, append(ALICE, 1)), loop).result()
        return position

    monkeypatch.setattr(adapter, "last_position", overtaken)
    await reader.open(read_only=True)
    assert await versions(reader, ALICE) == [1, 2]
    await reader.close()
    await writer.close()
