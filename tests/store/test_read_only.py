"""Read-only opening: beside a running process, in a folder without write permission, and with no byte changed."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import pytest_asyncio
from support.troubled_disks import immutable

from actorium import ConfigurationError
from actorium.errors import StoreUnavailable, UnsupportedSchema
from actorium.store.errors import CorruptStore
from actorium.store.event_store import AppendBatch
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.schema import MIGRATIONS
from actorium.testing.contract_words import ALICE, BOB, append, commit, versions


@pytest_asyncio.fixture
async def path(tmp_path: Path) -> Path:
    """A log with two events, closed properly, in its own folder."""
    (tmp_path / "log").mkdir()
    store = SQLiteStore(tmp_path / "log" / "log.db")
    await store.open()
    await commit(store, append(ALICE, 0, 2))
    await store.close()
    return tmp_path / "log" / "log.db"


@asynccontextmanager
async def reading(path: Path, *, verified: bool = True) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path)
    await store.open(verified=verified, read_only=True)
    try:
        yield store
    finally:
        await store.close()


def contents(path: Path) -> dict[str, tuple[bytes, int]]:
    """The files in a log's folder with their modification times, without the index that readers of a write-ahead log
    create.
    """
    files = [file for file in path.parent.iterdir() if not file.name.endswith("-shm")]
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


async def killed(path: Path, *, with_index: bool) -> Path:
    """A copy of the log as left by a process that was killed after a commit."""
    copy = path.parent.with_name("killed") / path.name
    copy.parent.mkdir()
    store = SQLiteStore(path)
    await store.open()
    await commit(store, append(BOB, 0))
    for ending in ("", "-wal", "-shm") if with_index else ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{copy}{ending}")
    await store.close()
    return copy


@pytest.mark.asyncio
async def test_a_log_at_rest_is_read_without_changing_or_creating_anything(path: Path) -> None:
    before = contents(path)
    async with reading(path) as store:
        assert await versions(store, ALICE) == [1, 2]
        assert len(await store.read_log(0, 10)) == 2
        assert await store.damage() == []
        assert [file.name for file in path.parent.iterdir() if file.name.endswith("-shm")] == []
    assert contents(path) == before


@pytest.mark.asyncio
async def test_a_log_is_read_without_write_permission(path: Path) -> None:
    with immutable(path), immutable(path.parent):
        async with reading(path) as store:
            assert await versions(store, ALICE) == [1, 2]


@pytest.mark.asyncio
async def test_a_log_is_read_beside_the_process_that_writes_it(path: Path) -> None:
    service = SQLiteStore(path)
    await service.open()
    for _ in range(2):
        await commit(service, append(BOB, len(await versions(service, BOB))))
        before = contents(path)
        async with reading(path) as store:
            assert await versions(store, BOB) == await versions(service, BOB)
            assert contents(path) == before
            await commit(service, append(BOB, len(await versions(service, BOB))))
            assert await versions(store, BOB) == await versions(service, BOB)
    await service.close()
    async with reading(path) as store:
        assert await versions(store, BOB) == [1, 2, 3, 4]


@pytest.mark.asyncio
async def test_a_service_may_stop_and_start_beside_a_reader(path: Path) -> None:
    service = SQLiteStore(path)
    await service.open()
    await commit(service, append(BOB, 0))
    async with reading(path) as store:
        await service.close()
        assert await versions(store, BOB) == [1]
        await service.open()
        await commit(service, append(BOB, 1))
        assert await versions(store, BOB) == [1, 2]
    await service.close()


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.asyncio
async def test_the_log_of_a_killed_process_is_read(path: Path, with_index: bool) -> None:
    copy = await killed(path, with_index=with_index)
    before = contents(copy)
    async with reading(copy) as store:
        assert await versions(store, BOB) == [1]
    assert contents(copy) == before


@pytest.mark.asyncio
async def test_the_log_of_a_killed_process_needs_a_writable_folder(path: Path) -> None:
    copy = await killed(path, with_index=False)
    with immutable(copy.parent), pytest.raises(StoreUnavailable, match=r"copy the file and its -wal file"):
        await SQLiteStore(copy).open(read_only=True)


@pytest.mark.asyncio
async def test_a_log_of_an_older_schema_is_refused_and_left_unchanged(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    before = contents(path)
    with pytest.raises(UnsupportedSchema, match="opened read-only cannot be migrated; start the application"):
        await SQLiteStore(path).open(read_only=True)
    assert contents(path) == before


@pytest.mark.asyncio
async def test_a_damaged_log_is_refused_unless_verification_is_off(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = 1")
        (definition,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'commands'").fetchone()
        db.execute("DROP INDEX commands")
        db.execute(f"{definition} AND position > 99")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'commands'", (definition,))
        db.execute("UPDATE events SET command_id = 'c1', command_events = 1 WHERE position = 2")
    with pytest.raises(CorruptStore, match="missing from index commands"):
        await SQLiteStore(path).open(read_only=True)
    async with reading(path, verified=False) as store:
        assert "row 2 missing from index commands" in await store.damage()


@pytest.mark.asyncio
async def test_a_log_that_is_modified_meanwhile_is_not_read_further(path: Path) -> None:
    async with reading(path) as store:
        service = SQLiteStore(path)
        await service.open()
        await commit(service, append(BOB, 0))
        assert await versions(store, ALICE) == [1, 2]
        await service.close()
        with pytest.raises(StoreUnavailable, match="was modified while it was read"):
            await versions(store, ALICE)


@pytest.mark.asyncio
async def test_a_read_only_log_refuses_commits(path: Path) -> None:
    async with reading(path) as store:
        with pytest.raises(ConfigurationError, match="was opened read-only"):
            await store.append(AppendBatch(1, [append(BOB, 0)]))


@pytest.mark.asyncio
async def test_a_missing_file_is_reported_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot read .*no\.db: No such file"):
        await SQLiteStore(tmp_path / "no.db").open(read_only=True)
    assert list(tmp_path.iterdir()) == []
