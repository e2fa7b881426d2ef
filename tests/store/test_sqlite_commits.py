"""Without flushes, a small commit runs on the event loop's thread, unless it could hold up the loop."""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from actorium.store.errors import CommitUnknown, StoreUnavailable, WrongExpectedVersion
from actorium.store.event_store import Append, AppendBatch, Appended, CommandMark, SaveCheckpoint, Snapshot
from actorium.store.events import EncodedEvent
from actorium.store.sqlite import SQLiteStore, commits
from actorium.store.sqlite.adapter import SQLiteLog
from actorium.store.sqlite.file import DatabaseFile
from actorium.store.sqlite.settings import SQLiteSettings
from actorium.testing.contract_words import ALICE, BOB, append, commit, versions

PAGE_BYTES = 4_096


@pytest.fixture(autouse=True)
def nothing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs may keep the processors busy."""
    monkeypatch.setattr(commits, "_SLOW_S", 60)


@contextlib.asynccontextmanager
async def opened(path: Path, synchronous: str = "NORMAL", **options: int) -> AsyncIterator[SQLiteStore]:
    """A store that has one event of alice's."""
    store = SQLiteStore(path, synchronous=synchronous, **options)
    await store.open()
    try:
        await commit(store, append(ALICE, 0))
        yield store
    finally:
        await store.close()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with opened(tmp_path / "log.db") as store:
        yield store


async def ran_here(store: SQLiteLog, appends: Sequence[Append], snapshots: Sequence[Snapshot] = ()) -> bool:
    """Commit, and return whether the loop's thread did it: then the commit has ended when `append` returns."""
    landing = store.append(AppendBatch(1_000, appends, snapshots))
    is_here = landing.done()
    expected = [one.expected_version + len(one.events) for one in appends]
    appended: Appended = await landing
    assert len([outcome for outcome in appended.outcomes if type(outcome) is int]) == len(expected)
    return is_here


@pytest.mark.parametrize(("synchronous", "is_here"), [("OFF", True), ("NORMAL", True), ("FULL", False)])
@pytest.mark.asyncio
async def test_a_small_commit_without_a_flush_runs_here(tmp_path: Path, synchronous: str, is_here: bool) -> None:
    async with opened(tmp_path / "log.db", synchronous) as store:
        assert await ran_here(store, [append(ALICE, 1)]) is is_here
        assert await ran_here(store, [append(ALICE, 2, count=commits.SMALL_COMMIT_EVENTS)]) is is_here
        assert await versions(store, ALICE) == list(range(1, 11))


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(append(BOB, 0), id="a stream to look up"),
        pytest.param(append(ALICE, 1, command="given"), id="a command id to look up"),
        pytest.param(append(ALICE, 1, count=commits.SMALL_COMMIT_EVENTS + 1), id="many events"),
        pytest.param(
            Append(ALICE, 1, (EncodedEvent("Big", 1, b'"%b"' % (b"x" * commits.SMALL_COMMIT_BYTES), b"{}"),)),
            id="many bytes",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_commit_that_may_take_longer_is_handed_over(store: SQLiteStore, one: Append) -> None:
    assert not await ran_here(store, [one])
    fresh = Append(
        ALICE, 1 + len(one.events) * (one.stream == ALICE), append(ALICE, 1).events, CommandMark("new", 1, True)
    )
    assert await ran_here(store, [fresh])


@pytest.mark.asyncio
async def test_a_commit_of_many_appends_is_handed_over(store: SQLiteStore) -> None:
    appends = [append(ALICE, version) for version in range(1, 2 + commits.SMALL_COMMIT_APPENDS)]
    assert not await ran_here(store, appends)
    last = appends[-1].expected_version + 1
    assert await ran_here(store, [append(ALICE, last + number) for number in range(commits.SMALL_COMMIT_APPENDS)])


@pytest.mark.asyncio
async def test_a_commit_with_a_snapshot_is_handed_over(store: SQLiteStore) -> None:
    assert not await ran_here(store, [append(ALICE, 1)], [Snapshot(ALICE, 2, "f", b"{}")])


@pytest.mark.asyncio
async def test_a_commit_waits_for_the_one_on_the_connections_thread(store: SQLiteStore) -> None:
    saving = asyncio.ensure_future(store.save([SaveCheckpoint("p", 1)]))
    await asyncio.sleep(0)
    assert not await ran_here(store, [append(ALICE, 1)])
    assert await saving == {}


@pytest.mark.asyncio
async def test_an_append_that_is_refused_here_fails_alone(store: SQLiteStore) -> None:
    late, fine = await commit(store, append(ALICE, 7), append(ALICE, 1))
    assert isinstance(late, WrongExpectedVersion)
    assert isinstance(fine, WrongExpectedVersion)  # after it in the same stream
    assert await commit(store, append(ALICE, 1)) == [2]


@pytest.mark.asyncio
async def test_the_lock_of_another_program_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    async with opened(tmp_path / "log.db", busy_timeout_s=60) as store:
        assert await ran_here(store, [append(ALICE, 1)])
        with contextlib.closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            committing = asyncio.ensure_future(commit(store, append(ALICE, 2)))
            await asyncio.sleep(0)
            assert (await store.head()).position == 2  # reads go on beside it
            assert not committing.done()
            other.rollback()
            assert await committing == [3]
        last = 3 + commits._AFTER_A_LOCK
        here = [await ran_here(store, [append(ALICE, version)]) for version in range(3, last + 1)]
        assert here == [False] * commits._AFTER_A_LOCK + [True]


@pytest.mark.asyncio
async def test_checkpoints_run_on_the_connections_thread(tmp_path: Path) -> None:
    pages = 50
    async with opened(tmp_path / "log.db", wal_autocheckpoint_pages=pages) as store:
        here = [await ran_here(store, [append(ALICE, version)]) for version in range(1, 1_001)]
        in_wal = (tmp_path / "log.db-wal").stat().st_size // PAGE_BYTES
    handed_over = [number for number, is_here in enumerate(here, 1) if not is_here]
    streak = commits._SMALL_COMMITS_MAX
    assert handed_over[:4] == [streak + 1, streak + 2, 2 * streak + 3, 2 * streak + 4]
    assert in_wal < pages + 6 * streak


@pytest.mark.asyncio
async def test_after_a_slow_commit_the_next_ones_are_handed_over(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(commits, "_SLOW_S", 0)
        patch.setattr(commits, "_HANDED_OVER_PER_SLOW_S", 1e9)
        assert await ran_here(store, [append(ALICE, 1)])
    for version in range(2, 52):  # each microsecond of it counts for a thousand
        assert not await ran_here(store, [append(ALICE, version)])


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
@pytest.mark.asyncio
async def test_a_removed_file_acknowledges_nothing_here_either(store: SQLiteStore, tmp_path: Path, name: str) -> None:
    assert await ran_here(store, [append(ALICE, 1)])
    (tmp_path / name).unlink()
    landing = store.append(AppendBatch(1_000, [append(ALICE, 2)]))
    assert landing.done()
    with pytest.raises(CommitUnknown, match=rf"{name} was removed"):
        await landing


class InterruptedFile(DatabaseFile):
    """A file at whose check, on the loop's thread, Ctrl-C is pressed once it is armed."""

    is_armed = False

    def check(self) -> None:
        if self.is_armed and threading.current_thread() is threading.main_thread():
            self.is_armed = False
            raise KeyboardInterrupt
        super().check()


def test_an_interrupt_within_a_commit_leaves_its_outcome_unknown_and_ends_the_loop(tmp_path: Path) -> None:
    file = InterruptedFile(tmp_path / "log.db")
    store = SQLiteLog(file, SQLiteSettings("NORMAL", 64, 2_000, 5.0, 64))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(store.open())
        loop.run_until_complete(commit(store, append(ALICE, 0)))
        file.is_armed = True
        committing = loop.create_task(commit(store, append(ALICE, 1)))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(committing)
        with pytest.raises(CommitUnknown, match="interrupted"):
            loop.run_until_complete(committing)
        assert loop.run_until_complete(commit(store, append(ALICE, 2))) == [3]
    finally:
        loop.run_until_complete(store.close())
        loop.close()


@pytest.mark.asyncio
async def test_a_closed_store_refuses_appends_that_waited(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db", synchronous="NORMAL")
    await store.open()
    saving = asyncio.ensure_future(store.save([SaveCheckpoint("p", 1)]))
    await asyncio.sleep(0)
    appending = store.append(AppendBatch(1_000, [append(ALICE, 0)]))
    await store.close()
    await asyncio.gather(saving, return_exceptions=True)
    with pytest.raises(StoreUnavailable, match="closed"):
        await appending
    assert os.path.exists(tmp_path / "log.db")
