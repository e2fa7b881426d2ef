"""Damaged indexes: opening refuses them, a seal makes the verification unnecessary, and a repair rebuilds them."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from actorium.store.errors import CorruptEvent, CorruptStore, StoreInUse, StoreUnavailable
from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.integrity.repair import repair_file
from actorium.testing.contract_words import ALICE, BOB, append, commit, versions
from actorium_cli import run

COMMANDS = "CREATE UNIQUE INDEX commands ON events (command_id) WHERE command_id IS NOT NULL"
PAGE = 4_096


@pytest_asyncio.fixture
async def path(tmp_path: Path) -> Path:
    """A log with two streams, a command and a table of a projection, closed properly."""
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    table = [
        ("CREATE TABLE balances (account TEXT, balance INTEGER)", ()),
        ("INSERT INTO balances VALUES ('a', 7)", ()),
    ]
    await store.append(AppendBatch(1_000, [append(ALICE, 0, 2, "c1"), append(BOB, 0)]))
    await store.save([SaveCheckpoint("p", 2, statements=table)])
    await store.close()
    return tmp_path / "log.db"


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = 1")
        for statement in statements:
            db.execute(statement)


def hide_commands(path: Path) -> None:
    """Make the index of commands empty."""
    hidden = f"{COMMANDS} AND position > 99"
    change(path, "DROP INDEX commands", hidden, f"UPDATE sqlite_master SET sql = '{COMMANDS}' WHERE name = 'commands'")


def flip(path: Path, what: bytes, by: bytes) -> None:
    """Change bytes as a failing disk does: the modification time stays the same."""
    status, content = path.stat(), path.read_bytes()
    assert content.count(what) == 1
    path.write_bytes(content.replace(what, by))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.asynccontextmanager
async def opened(path: Path, *, verify_mb: int = 256, verified: bool = True) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, verify_mb=verify_mb)
    await store.open(verified=verified)
    try:
        yield store
    finally:
        await store.close()


def seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.seal")


# --- opening --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_damaged_index_refuses_the_opening_and_says_what_to_do(path: Path) -> None:
    hide_commands(path)
    for _ in range(2):
        with pytest.raises(CorruptStore, match=r"row 2 missing from index commands .*run `actorium repair /"):
            await SQLiteStore(path).open()
    assert repair_file(str(path)) == []
    async with opened(path) as store:
        assert (await store.find_commands(["c1"])).get("c1") is not None


@pytest.mark.parametrize("how", [{"verify_mb": 0}, {"verified": False}])
@pytest.mark.asyncio
async def test_a_file_opened_without_verification_is_not_sealed(path: Path, how: dict[str, int]) -> None:
    hide_commands(path)
    seal_of(path).unlink()
    async with opened(path, **how) as store:
        assert (await store.find_commands(["c1"])).get("c1") is None, "no read can know better"
        assert "row 2 missing from index commands" in await store.damage()
    assert not seal_of(path).exists(), "the damage would be sealed in"


@pytest.mark.asyncio
async def test_a_file_above_the_limit_is_not_verified(path: Path) -> None:
    change(path, "CREATE TABLE large (content BLOB)", f"INSERT INTO large VALUES (zeroblob({2**20}))")
    hide_commands(path)
    async with opened(path, verify_mb=1) as store:
        assert "row 2 missing from index commands" in await store.damage()
    with pytest.raises(CorruptStore, match="missing from index"):
        await SQLiteStore(path, verify_mb=2).open()


# --- the seal -------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_sealed_file_is_not_verified_again(path: Path) -> None:
    """Shown by a seal over damage, which only a manual edit can produce."""
    seal_of(path).unlink()
    async with opened(path):
        hide_commands(path)  # by a second program, while the store is open
    async with opened(path) as store:
        assert "row 2 missing from index commands" in await store.damage()


@pytest.mark.parametrize("content", [b"", b"\x94", b"no seal at all", None])
@pytest.mark.asyncio
async def test_a_damaged_seal_is_ignored(path: Path, content: bytes | None) -> None:
    if content is None:
        whole = bytearray(seal_of(path).read_bytes())
        whole[-1] ^= 1
        content = bytes(whole)
    async with opened(path):
        hide_commands(path)
    seal_of(path).write_bytes(content)
    with pytest.raises(CorruptStore, match="missing from index"):
        await SQLiteStore(path).open()


@pytest.mark.asyncio
async def test_a_file_modified_after_its_seal_is_verified_and_works(path: Path) -> None:
    change(path, "UPDATE balances SET balance = 8")
    async with opened(path) as store:
        assert await store.query("SELECT balance FROM balances", ()) == [(8,)]


@pytest.mark.asyncio
async def test_a_flipped_bit_in_a_projection_refuses_the_opening(path: Path) -> None:
    change(path, "UPDATE balances SET account = 'somebody'")
    async with opened(path):
        pass
    flip(path, b"somebody", b"somebodx")
    with pytest.raises(CorruptStore, match="bits have flipped in table balances, which has no checksums"):
        await SQLiteStore(path).open()
    assert repair_file(str(path)) == ["bits have flipped in table balances: rebuild it"]
    async with opened(path) as store:
        assert await store.query("SELECT account FROM balances", ()) == [("somebodx",)], "known, and gone on with"


@pytest.mark.asyncio
async def test_a_flipped_bit_in_an_event_fails_one_stream(path: Path) -> None:
    flip(path, b'{"amount":2}', b'{"amount":3}')
    async with opened(path) as store:
        with pytest.raises(CorruptEvent, match="Account<alice> version 2"):
            await versions(store, ALICE)
        assert await versions(store, BOB) == [1]


# --- the repair -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_file_that_lost_its_last_events_is_not_repaired(path: Path) -> None:
    """The indexes still list those events, and a repair would remove them."""
    change(path, "CREATE TABLE spare AS SELECT * FROM events", "DELETE FROM spare WHERE position = 3")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = 1")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    content = bytearray(path.read_bytes())
    cells = (root - 1) * PAGE + 3  # the number of rows in a leaf, two bytes
    assert content[cells : cells + 2] == b"\x00\x03"
    content[cells + 1] = 2
    path.write_bytes(content)
    with pytest.raises(CorruptStore, match="is damaged"):
        await SQLiteStore(path).open()
    before = path.read_bytes()
    with pytest.raises(CorruptStore, match="ends at position 2, but an index lists later events; restore a backup"):
        repair_file(str(path))
    assert path.read_bytes() == before


def test_a_file_that_is_not_a_log_is_not_repaired(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no file"):
        repair_file(str(tmp_path / "log.db"))
    (tmp_path / "text.db").write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(CorruptStore, match="cannot be repaired: file is not a database; restore a backup"):
        repair_file(str(tmp_path / "text.db"))


@pytest.mark.asyncio
async def test_a_file_in_use_is_not_repaired(path: Path) -> None:
    async with opened(path) as store:
        with pytest.raises(StoreInUse):
            repair_file(str(path))
        assert await commit(store, append(ALICE, 2)) == [4]


def test_the_program_repairs_and_lists_the_remaining_damage(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hide_commands(path)
    assert run(["repair", str(path)]) == 0
    assert "all indexes rebuilt" in capsys.readouterr().out
    change(path, "UPDATE events SET payload = '{}' WHERE position = 3")
    assert run(["repair", str(path)]) == 1
    printed = capsys.readouterr()
    assert "Deposited at Account<bob> version 1: it does not match its checksum" in printed.out
    assert "1 damaged item remains" in printed.err
