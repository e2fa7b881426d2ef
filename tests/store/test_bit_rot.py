"""Bits that flip in a file at rest: reads are correct or raise an error, and a check finds the damage that reads
miss.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actorium.simulation.disk.bit_rot import BitRot
from actorium.store.errors import CorruptEvent, CorruptRow, CorruptStore
from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.names import CommandRecord
from actorium.store.sqlite import SQLiteStore
from actorium.testing.contract_words import ALICE, append, commit, dead_letter

FLIPS = 40
SEED = 20_261_122


@pytest_asyncio.fixture
async def path(tmp_path: Path) -> Path:
    """A log with two events of one command, two checkpoints and a dead letter."""
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await store.append(AppendBatch(1_000, [append(ALICE, 0, 2, "c1")]))
    await store.save([SaveCheckpoint("p", 2, parked=[dead_letter(2)]), SaveCheckpoint("q", 1)])
    await store.close()
    return tmp_path / "log.db"


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = 1")
        for statement in statements:
            db.execute(statement)


@contextlib.asynccontextmanager
async def opened(path: Path, *, verify_mb: int = 256) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, verify_mb=verify_mb)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def flipped(folder: Path, **options: Any) -> BitRot:
    rot = BitRot(folder, seed=SEED, **options)
    await rot.prepare()
    for _ in range(FLIPS):
        await rot.flip_one()
    assert min(part.refused for part in rot.parts.values()) > 0, "no flip was ever noticed: the test flips nothing"
    assert min(part.right for part in rot.parts.values()) > 0, "one bit must not cost the whole file"
    return rot


@pytest.mark.parametrize("after", ["close", "kill"])
@pytest.mark.asyncio
async def test_a_read_after_a_flip_is_correct_or_raises_an_error(tmp_path: Path, after: str) -> None:
    rot = await flipped(tmp_path, after=after)
    assert {name: part.wrong for name, part in rot.parts.items() if part.wrong} == {}


@pytest.mark.asyncio
async def test_an_unverified_file_may_hide_rows_but_no_part_of_the_log(tmp_path: Path) -> None:
    rot = await flipped(tmp_path, verify_mb=0)
    wrong = {name for name, part in rot.parts.items() if part.wrong}
    assert wrong, "without the verification, nothing would have been read wrong: the test above flips nothing"
    assert wrong.isdisjoint({"the log, in order", "checkpoints", "dead letters"})
    assert [name for name, part in rot.parts.items() if part.hidden] == [], "a check finds them"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"position INTEGER PRIMARY KEY", b"position INTEGER P\xd2IMARY KEY"),  # SQLite takes it, and finds no event
        (b'CREATE TABLE "events"', b'C\xd2EATE TABLE "events"'),  # SQLite's words on it are no UTF-8
        (b"checksum INTEGER) WITHOUT ROWID", b"checksum INTEGER) WITHOUT ROWIT"),
        (b"command_id IS NOT NULL", b"command_ie IS NOT NULL"),
        (b"stream INTEGER NOT NULL,\n    version", b"stream INTEGER NOT NULL,\n    versioo"),
    ],
)
@pytest.mark.asyncio
async def test_a_damaged_definition_refuses_the_opening(path: Path, before: bytes, after: bytes) -> None:
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after))
    for _ in range(2):
        with pytest.raises(CorruptStore, match=r"log\.db"):
            await SQLiteStore(path).open()
    path.write_bytes(content)
    async with opened(path) as store:
        assert (await store.head()).position == 2


@pytest.mark.asyncio
async def test_a_missing_definition_refuses_the_opening(path: Path) -> None:
    change(path, "DROP INDEX commands")
    with pytest.raises(CorruptStore, match="its definition of commands is not the one that Actorium created"):
        await SQLiteStore(path).open()


@pytest.mark.asyncio
async def test_a_foreign_table_does_no_harm(path: Path) -> None:
    change(path, "CREATE TABLE notes (text TEXT)")
    async with opened(path) as store:
        assert (await store.head()).position == 2


@pytest.mark.parametrize("column", ["position = 1", "position = 'two'", "checksum = 7", "checksum = 'none'"])
@pytest.mark.asyncio
async def test_a_damaged_checkpoint_is_refused(path: Path, column: str) -> None:
    change(path, f"UPDATE checkpoints SET {column} WHERE name = 'p'")
    async with opened(path) as store:
        with pytest.raises(CorruptRow, match="checkpoint of 'p'"):
            await store.load_checkpoint("p")
        assert await store.load_checkpoint("q") == 1
        with pytest.raises(CorruptRow):
            await store.load_checkpoint("r")  # it may be the damaged one
        await store.save([SaveCheckpoint("p", 2)])
        assert await store.load_checkpoint("p") == 2


@pytest.mark.parametrize("column", ["error = 'ValueError: yes'", "attempts = 4", "version = 'one'", "checksum = 0"])
@pytest.mark.asyncio
async def test_a_damaged_dead_letter_is_refused(path: Path, column: str) -> None:
    change(path, f"UPDATE dead_letters SET {column}")
    async with opened(path) as store:
        with pytest.raises(CorruptRow, match="a dead letter of 'p', at position 2,"):
            await store.dead_letters("p")
        with pytest.raises(CorruptRow):
            await store.dead_letters("q")  # it may be one of its own


@pytest.mark.asyncio
async def test_a_checkpoint_and_a_dead_letter_are_missed_under_their_damaged_names(path: Path) -> None:
    change(path, "UPDATE checkpoints SET name = 'o' WHERE name = 'p'", "UPDATE dead_letters SET processor = 'o'")
    async with opened(path) as store:
        with pytest.raises(CorruptRow, match="checkpoint of 'o'"):
            await store.load_checkpoint("p")
        with pytest.raises(CorruptRow, match="a dead letter of 'o'"):
            await store.dead_letters("p")


@pytest.mark.parametrize("column", ["name", "type"])
@pytest.mark.asyncio
async def test_a_stream_without_a_name_is_refused(path: Path, column: str) -> None:
    """SQLite checks NOT NULL when it writes, not when it reads a damaged file."""
    sql = "SELECT sql FROM sqlite_master WHERE name = 'streams'"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (whole,) = db.execute(sql).fetchone()
    loose = whole.replace(f"{column} TEXT NOT NULL", f"{column} TEXT")
    change(path, f"UPDATE sqlite_master SET sql = '{loose}' WHERE name = 'streams'")
    change(path, f"UPDATE streams SET {column} = NULL")
    change(path, f"UPDATE sqlite_master SET sql = '{whole}' WHERE name = 'streams'")
    async with opened(path, verify_mb=0) as store:
        with pytest.raises(CorruptEvent, match="checksum"):
            await store.read_log(0, 10)


@pytest.mark.asyncio
async def test_a_last_event_without_its_time_is_refused(path: Path) -> None:
    change(path, "UPDATE events SET recorded_us = 'noon' WHERE position = 2")
    async with opened(path) as store:
        with pytest.raises(CorruptStore, match="time of the last event"):
            await store.head()
        with pytest.raises(CorruptStore, match="time of the last event"):
            await commit(store, append(ALICE, 2))


@pytest.mark.asyncio
async def test_rows_from_before_checksums_existed_are_accepted(path: Path) -> None:
    change(path, "UPDATE checkpoints SET checksum = NULL", "UPDATE dead_letters SET checksum = NULL")
    async with opened(path) as store:
        assert await store.load_checkpoint("p") == 2
        assert await store.dead_letters("p") == [dead_letter(2)]


@pytest.mark.parametrize(
    "column",
    [
        "command_events = 'two'",
        "command_events = 3",
        "command_events = 0",
        "command_events = command_events + 1",
        "command_events = command_events | 1 << 40",
        "command_fingerprint = NULL",
        "command_fingerprint = command_fingerprint + 1",
    ],
)
@pytest.mark.asyncio
async def test_a_damaged_mark_of_a_command_is_refused(path: Path, column: str) -> None:
    change(path, f"UPDATE events SET {column} WHERE command_id = 'c1'")
    async with opened(path) as store:
        with pytest.raises(CorruptStore, match="the mark of command 'c1' is damaged"):
            await store.find_commands(["c1"])
        with pytest.raises(CorruptStore, match="the mark of command 'c1' is damaged"):
            await commit(store, append(ALICE, 2, command="c1"))
        assert await commit(store, append(ALICE, 2, command="c2")) == [3]


@pytest.mark.asyncio
async def test_a_mark_from_before_checksums_existed_is_accepted(path: Path) -> None:
    change(path, "UPDATE events SET command_events = 2 WHERE command_id = 'c1'")
    async with opened(path) as store:
        assert (await store.find_commands(["c1"])).get("c1") == CommandRecord("c1", 7, ALICE, 1, 2, 2)
        assert await store.damage() == []


@pytest.mark.asyncio
async def test_a_damaged_mark_is_found_by_a_check(path: Path) -> None:
    change(path, "UPDATE events SET command_fingerprint = 8 WHERE command_id = 'c1'")
    async with opened(path) as store:
        assert await store.damage() == ["the mark of command 'c1' is damaged: a disk error or a manual edit changed it"]
