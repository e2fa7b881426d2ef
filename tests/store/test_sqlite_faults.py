"""A disk that is full, a file that is locked, read-only or gone: a clear error, nothing half-written, then service."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.troubled_disks import fill, immutable, make_read_only, no_larger_files, small_disk

from actorium.store.errors import (
    CommitUnknown,
    ConfigurationError,
    CorruptStore,
    StoreUnavailable,
    Transient,
    WrongExpectedVersion,
)
from actorium.store.event_store import Append, AppendBatch, CommandMark, EventStore
from actorium.store.events import EncodedEvent
from actorium.store.sqlite import SQLiteStore, wal
from actorium.store.sqlite.connection import connect_to_write
from actorium.store.sqlite.settings import SQLiteSettings
from actorium.testing.contract_words import ALICE, BOB, append, commit, event, read, versions

BIG = Append(BOB, 0, (EncodedEvent("Deposited", 1, b'"' + b"x" * 400_000 + b'"', b"{}"),), CommandMark("big", 1))


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with opened(tmp_path / "log.db") as store:
        yield store


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SQLiteStore]:
    """A store with one event of alice's, which fails immediately instead of waiting for a lock."""
    store = SQLiteStore(path, busy_timeout_s=0)
    await store.open()
    try:
        await commit(store, append(ALICE, 0, command="first"))
        yield store
    finally:
        await store.close()


async def expect_failure(store: EventStore, error: type[Transient], *appends: Append, words: str) -> None:
    """A commit fails, its cause chained, and leaves nothing that a reader could see."""
    before = await store.head()
    with pytest.raises(error, match=words) as caught:
        await commit(store, *appends)
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert await store.head() == before


async def expect_service(store: EventStore) -> None:
    """After the failure, failed commands are accepted once, and acknowledged ones are recognized."""
    assert await commit(store, BIG, append(ALICE, 1)) == [2, 3]
    again = await commit(store, BIG, append(ALICE, 0, command="first"))
    assert [type(outcome).__name__ for outcome in again] == ["DuplicateCommand", "DuplicateCommand"]
    assert (await versions(store, ALICE), await versions(store, BOB)) == ([1, 2], [1])


@pytest.mark.asyncio
async def test_a_full_disk_fails_the_commit_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk / "log.db") as store:
            filler = fill(disk, free_bytes=100_000)
            await expect_failure(store, CommitUnknown, BIG, append(ALICE, 1), words="full")
            assert await commit(store, append(ALICE, 5))  # a commit that writes nothing has nothing to fail with
            filler.unlink()
            await expect_service(store)


@pytest.mark.asyncio
async def test_a_file_at_its_size_limit_fails_the_commit(store: SQLiteStore) -> None:
    with no_larger_files(200_000):
        await expect_failure(store, CommitUnknown, BIG, append(ALICE, 1), words="log.db did not accept a commit")
    await expect_service(store)


@pytest.mark.asyncio
async def test_a_read_only_file_fails_the_commit(store: SQLiteStore, tmp_path: Path) -> None:
    with immutable(tmp_path / "log.db-wal"):
        await expect_failure(store, CommitUnknown, BIG, append(ALICE, 1), words="log.db did not accept a commit")
        assert await versions(store, ALICE) == [1]
    await expect_service(store)


@pytest.mark.asyncio
async def test_a_read_only_disk_cannot_be_opened(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with opened(disk / "log.db"):
            pass
        make_read_only(disk)
        with pytest.raises(StoreUnavailable, match=r"lock of .*log\.db: .*Read-only file system"):
            await SQLiteStore(disk / "log.db").open()


@pytest.mark.asyncio
async def test_a_locked_database_fails_the_commit(store: SQLiteStore, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await expect_failure(store, StoreUnavailable, append(ALICE, 1), words="locked")  # one statement
        await expect_failure(store, StoreUnavailable, BIG, append(ALICE, 1), words="locked")  # a transaction of several
        other.rollback()
        await expect_service(store)


@pytest.mark.asyncio
async def test_a_commit_waits_for_another_lock_for_busy_timeout_s(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db", busy_timeout_s=60)
    await store.open()
    try:
        with contextlib.closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            committing = asyncio.ensure_future(commit(store, append(ALICE, 0)))
            await asyncio.sleep(0)
            assert (await store.head()).position == 0  # reads go on beside it
            assert not committing.done()
            other.rollback()
            assert await committing == [1]
    finally:
        await store.close()


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("named", [True, False], ids=["a system that names open files", "one that does not"])
@pytest.mark.asyncio
async def test_a_removed_file_acknowledges_nothing(
    tmp_path: Path, name: str, replaced: bool, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not named:
        monkeypatch.setattr(wal, "_DESCRIPTORS", tmp_path / "nowhere")
    async with opened(tmp_path / "log.db") as store:
        await commit(store, append(BOB, 0))
        if replaced:
            shutil.copy(tmp_path / name, tmp_path / "copy")
            os.replace(tmp_path / "copy", tmp_path / name)
        else:
            (tmp_path / name).unlink()
        words = rf"{name} was {'replaced' if replaced else 'removed'}"
        for _ in range(2):
            with pytest.raises(CommitUnknown, match=words):
                await commit(store, append(ALICE, 1))
            with pytest.raises(StoreUnavailable, match=words):
                await store.head()


@pytest.mark.asyncio
async def test_another_writer_is_noticed_and_only_the_append_it_overtook_fails(
    store: SQLiteStore, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute(
            "INSERT INTO events (position, stream, version, type, payload, metadata, recorded_us, checksum) "
            "SELECT 2, stream, 2, type, payload, metadata, recorded_us, checksum FROM events"
        )
    late, fine = await commit(store, append(ALICE, 1), append(BOB, 0))
    assert isinstance(late, WrongExpectedVersion)
    assert (late.stream, late.actual) == (ALICE, 2)
    assert fine == 3
    assert await commit(store, append(ALICE, 2), append(BOB, 1)) == [4, 5]


@pytest.mark.asyncio
async def test_a_payload_that_is_not_text_is_refused_with_its_batch(store: SQLiteStore) -> None:
    with pytest.raises(UnicodeDecodeError):
        await commit(store, append(ALICE, 1), Append(BOB, 0, (EncodedEvent("Deposited", 1, b"\xff", b"{}"),)))
    assert await versions(store, ALICE) == [1]
    assert await commit(store, append(ALICE, 1), Append(BOB, 0, (event(),))) == [2, 3]


@pytest.mark.asyncio
async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no directory .*nowhere; create it first"):
        await SQLiteStore(tmp_path / "nowhere" / "log.db").open()
    with pytest.raises(ConfigurationError, match="it is a directory"):
        await SQLiteStore(tmp_path).open()
    with pytest.raises(ConfigurationError, match=r"cannot open .*yyy: File name too long"):
        await SQLiteStore(tmp_path / ("y" * 250)).open()
    with pytest.raises(ConfigurationError, match=r"but '\\ud800.db' is not Unicode"):
        SQLiteStore("\ud800.db")


@pytest.mark.asyncio
async def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"certainly no database\n" * 400)
    store = SQLiteStore(tmp_path / "log.db")
    for _ in range(3):  # no opening finds a lock or a thread of the one before
        with pytest.raises(CorruptStore, match="not a database"):
            await store.open()
    (tmp_path / "log.db").unlink()
    await store.open()
    assert await commit(store, append(ALICE, 0)) == [1]
    await store.close()


@pytest.mark.asyncio
async def test_an_open_waits_for_the_close_before_it(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await store.open()
    assert await commit(store, append(ALICE, 0)) == [1]
    await store.close()


def test_a_database_that_rejects_a_setting_is_refused() -> None:
    refused = pytest.raises(StoreUnavailable, match="keeps PRAGMA journal_mode at 'memory' instead of 'wal'")
    with contextlib.closing(sqlite3.connect(":memory:")) as db, refused:
        SQLiteSettings("FULL", 8, 1_000, 5.0, 0).checked().apply(db)


@pytest.mark.asyncio
async def test_no_thread_outlives_its_store(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with opened(tmp_path / "log.db") as store:
        (tmp_path / "log.db").unlink()
        with pytest.raises(CommitUnknown):
            await commit(store, append(ALICE, 1))
    (tmp_path / "broken.db").write_bytes(b"certainly no database\n" * 400)
    broken = SQLiteStore(tmp_path / "broken.db")
    for _ in range(2):
        with pytest.raises(CorruptStore):
            await broken.open()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.asyncio
async def test_a_cancelled_opening_releases_the_file(tmp_path: Path) -> None:
    for turns in range(1, 40, 3):
        store = SQLiteStore(tmp_path / "log.db")
        opening = asyncio.ensure_future(store.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        await store.close()
        async with opened(tmp_path / "log.db") as second:
            assert await read(second, ALICE)


@pytest.mark.asyncio
async def test_commits_in_progress_are_finished_by_close(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    committing = asyncio.ensure_future(store.append(AppendBatch(1, [append(ALICE, 0)])))
    await asyncio.sleep(0)
    await store.close()
    assert (await committing).outcomes == [1]
    async with opened(tmp_path / "log.db") as again:
        assert await versions(again, ALICE) == [1]


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(sqlite3.OperationalError):
            await connect_to_write(str(tmp_path / "none" / "log.db"), busy_timeout_s=0)
        assert threading.active_count() == before
