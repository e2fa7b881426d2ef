"""Checkpoints in the tables beside the log: with as few statements as possible, and together with their changes."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from actorium.store.event_store import SaveCheckpoint
from actorium.store.guard import StatementGuard
from actorium.store.memory import MemoryStore
from actorium.store.sql import checkpoints
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.schema import migrate
from actorium.testing.contract_words import dead_letter


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    connection.execute("CREATE TABLE seen (id TEXT PRIMARY KEY)")
    yield connection
    connection.close()


def statements_of(db: sqlite3.Connection, checkpoint: SaveCheckpoint) -> list[str]:
    """The first words of the statements that save it if no transaction is open."""
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    checkpoints.save_checkpoint(db, checkpoint, StatementGuard(frozenset(), reads_only=False))
    db.set_trace_callback(None)
    assert not db.in_transaction
    return [" ".join(statement.split()[:3]) for statement in statements]


def test_a_position_alone_is_one_statement(db: sqlite3.Connection) -> None:
    assert statements_of(db, SaveCheckpoint("p", 3)) == ["INSERT INTO checkpoints"]
    assert checkpoints.load_checkpoint(db, "p") == 3


def test_a_position_with_its_statements_is_one_transaction(db: sqlite3.Connection) -> None:
    seen = ("INSERT INTO seen VALUES ('one')", ())
    assert statements_of(db, SaveCheckpoint("p", 1, [seen])) == [
        "SAVEPOINT checkpoint",
        "INSERT INTO seen",
        "INSERT INTO checkpoints",
        "RELEASE checkpoint",
    ]
    assert statements_of(db, SaveCheckpoint("p", 2, [seen]))[-2:] == ["ROLLBACK TO checkpoint", "RELEASE checkpoint"]
    assert checkpoints.load_checkpoint(db, "p") == 1


@pytest.mark.parametrize("is_memory", [True, False])
@pytest.mark.asyncio
async def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(is_memory: bool, tmp_path: Path) -> None:
    store = MemoryStore() if is_memory else SQLiteStore(tmp_path / "log.db")
    await store.open()
    unwritable = msgspec.structs.replace(dead_letter(3), error="\ud800")
    with pytest.raises(UnicodeEncodeError):
        await store.save([SaveCheckpoint("p", 9, parked=[dead_letter(2), unwritable])])
    assert await store.dead_letters("p") == []
    await store.save([SaveCheckpoint("p", 4, parked=[dead_letter(3)])])
    assert (await store.load_checkpoint("p"), await store.dead_letters("p")) == (4, [dead_letter(3)])
    await store.close()
