"""No statement of a user changes the log, and foreign objects in its file refuse the opening."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from actorium.simulation.disk import SimulatedDisk, SimulatedSqliteStore
from actorium.store.errors import StatementFailed, UnsupportedSchema
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.integrity.repair import repair_file
from actorium.testing.contract_words import ALICE, append, commit, versions

TABLE = "CREATE TABLE Sums__v1__sums (id TEXT PRIMARY KEY, total INTEGER)"


@pytest_asyncio.fixture(params=["memory", "sqlite", "simulated disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    stores: dict[str, EventStore] = {
        "memory": MemoryStore(),
        "sqlite": SQLiteStore(tmp_path / "log.db"),
        "simulated disk": SimulatedSqliteStore(SimulatedDisk(), "log.db"),
    }
    store = stores[request.param]
    await store.open()
    await commit(store, append(ALICE, 0))
    assert await run(store, TABLE, "INSERT INTO Sums__v1__sums VALUES ('a', 1)") is None
    yield store
    await store.close()


async def run(store: EventStore, *statements: str) -> StatementFailed | None:
    """Commit statements as a projection does; return why they failed."""
    checkpoint = SaveCheckpoint("projection Sums version 1", 1, [(statement, ()) for statement in statements])
    return (await store.save([checkpoint])).get(0)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE checkpoints SET position = 9", "writes to checkpoints, a table of the log"),
        ("WITH x AS (SELECT 1) UPDATE checkpoints SET position = (SELECT * FROM x)", "writes to checkpoints"),
        ("WITH x AS (SELECT 1) DELETE FROM dead_letters WHERE position IN x", "writes to dead_letters"),
        ("INSERT INTO CheckPoints VALUES ('x', 1, NULL)", "writes to checkpoints"),
        ("REPLACE INTO checkpoints VALUES ('x', 1, NULL)", "writes to checkpoints"),
        ("DROP TABLE checkpoints", "drops table checkpoints, which would change a table of the log"),
        ("CREATE TABLE events (a)", "creates table events|already exists"),
        (
            "CREATE INDEX by_name ON checkpoints (position)",
            "creates index by_name, which would change a",
        ),
        (
            "CREATE TRIGGER checkpoints_t AFTER UPDATE ON checkpoints BEGIN SELECT 1; END",
            "creates trigger checkpoints_t, which would change",
        ),
        ("CREATE INDEX elsewhere ON Sums__v1__sums (total)", "creates index elsewhere, which belongs to no projection"),
        (
            "CREATE VIEW all_of_it AS SELECT * FROM Sums__v1__sums",
            "creates view all_of_it, which belongs to no",
        ),
        ("CREATE TEMP TABLE t (a)", "runs CREATE TEMP TABLE, which is not allowed"),
        ("ALTER TABLE Sums__v1__sums RENAME TO other", "runs ALTER TABLE, which is not allowed"),
        ("ATTACH ':memory:' AS other", "runs ATTACH, which is not allowed"),
        ("PRAGMA journal_mode = DELETE", "runs PRAGMA journal_mode, which is not allowed"),
        ("SAVEPOINT other", "runs SAVEPOINT, which is not allowed"),
        ("COMMIT", "runs BEGIN, COMMIT or ROLLBACK, which is not allowed"),
        ("ANALYZE", "runs ANALYZE, which is not allowed|writes to"),
    ],
)
@pytest.mark.asyncio
async def test_a_statement_that_would_change_the_log_fails_alone(store: EventStore, sql: str, words: str) -> None:
    failure = await run(store, "UPDATE Sums__v1__sums SET total = 2", sql)
    assert failure is not None
    with pytest.raises(StatementFailed, match=words):
        raise failure
    assert await store.query("SELECT total FROM Sums__v1__sums", ()) == [(1,)]
    assert await run(store, "UPDATE Sums__v1__sums SET total = 3") is None
    assert await store.load_checkpoint("projection Sums version 1") == 1


@pytest.mark.asyncio
async def test_a_later_trigger_makes_an_allowed_statement_be_checked_again(store: EventStore) -> None:
    update = "UPDATE Sums__v1__sums SET total = total + 1"
    assert await run(store, update) is None
    trigger = (
        "CREATE TRIGGER Sums__v1__t AFTER UPDATE ON Sums__v1__sums BEGIN UPDATE checkpoints SET position = 99; END"
    )
    assert await run(store, trigger) is None
    failure = await run(store, update)
    assert failure is not None
    with pytest.raises(StatementFailed, match="writes to checkpoints"):
        raise failure
    assert await store.query("SELECT total FROM Sums__v1__sums", ()) == [(2,)]


@pytest.mark.asyncio
async def test_users_may_not_run_the_stores_own_statements(store: EventStore) -> None:
    """SQLite caches compiled statements by their text: a user may not run one of the store's own statements."""
    failure = await run(store, "DELETE FROM dead_letters WHERE processor = 'x' AND position = 1")
    assert failure is not None
    failure = await run(store, "DELETE FROM dead_letters WHERE processor = ? AND position = ?")
    assert failure is not None
    assert "writes to dead_letters" in str(failure)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM Sums__v1__sums RETURNING id",
        "PRAGMA query_only = 0",
        "ATTACH ':memory:' AS other",
        "CREATE TEMP TABLE t (a)",
        "BEGIN",
        "SELECT * FROM pragma_database_list",
    ],
)
@pytest.mark.asyncio
async def test_a_query_only_reads(store: EventStore, sql: str) -> None:
    with pytest.raises(StatementFailed, match=r"which is not allowed|but a query can only read|readonly database"):
        await store.query(sql, ())
    assert await store.query("SELECT id, total FROM Sums__v1__sums", ()) == [("a", 1)]


@pytest.mark.asyncio
async def test_our_own_tables_may_be_read(store: EventStore) -> None:
    assert await store.query("SELECT position FROM checkpoints", ()) == [(1,)]
    assert await run(store, "INSERT INTO Sums__v1__sums SELECT name, position FROM checkpoints") is None


@pytest.mark.asyncio
async def test_a_projection_may_use_objects_that_it_created(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = SQLiteStore(path)
    await store.open()
    made = [
        TABLE,
        "CREATE INDEX Sums__v1__by_total ON Sums__v1__sums (total)",
        "CREATE VIEW Sums__v1__rich AS SELECT * FROM Sums__v1__sums WHERE total > 100",
        "CREATE TRIGGER Sums__v1__t AFTER INSERT ON Sums__v1__sums BEGIN UPDATE Sums__v1__sums SET total = 7; END",
        'CREATE VIEW "sums" AS SELECT * FROM "Sums__v1__sums"',
        "CREATE VIRTUAL TABLE Sums__v1__words USING fts5 (body)",
        "INSERT INTO Sums__v1__words VALUES ('a word')",
        "INSERT INTO Sums__v1__sums VALUES ('a', 1)",
        "CREATE TABLE plain (a UNIQUE)",
        "CREATE INDEX plain_by_a ON plain (a)",
    ]
    assert await run(store, *made) is None
    await store.close()
    await store.open()
    assert await store.query("SELECT total FROM sums", ()) == [(7,)]
    assert await store.query("SELECT * FROM Sums__v1__words WHERE Sums__v1__words MATCH 'word'", ()) == [("a word",)]
    dropped = ["DROP VIEW sums", "DROP TABLE Sums__v1__words", "DROP TABLE Sums__v1__sums", "DROP TABLE plain"]
    assert await run(store, *dropped) is None
    await store.close()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events WHERE position = NEW.position; END",
            "trigger t on events",
        ),
        (
            "CREATE TRIGGER t AFTER UPDATE ON Sums__v1__sums BEGIN DELETE FROM events; END",
            "trigger t on Sums__v1__sums",
        ),
        ("CREATE INDEX u ON events (json_extract(payload, '$.amount'))", "index u on events"),
        ("CREATE UNIQUE INDEX u ON events (type)", "index u on events"),
        ("CREATE INDEX u ON Sums__v1__sums (total)", "index u on Sums__v1__sums"),
        ("CREATE VIEW log2 AS SELECT load_extension('evil')", "view log2"),
        ("CREATE INDEX u ON events (type); CREATE VIEW v AS SELECT 1", "index u on events, view v"),
    ],
)
@pytest.mark.asyncio
async def test_foreign_objects_in_the_file_refuse_the_opening(tmp_path: Path, sql: str, words: str) -> None:
    path = tmp_path / "log.db"
    store = SQLiteStore(path)
    await store.open()
    await commit(store, append(ALICE, 0))
    await run(store, TABLE)
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    for read_only in (False, True):
        with pytest.raises(
            UnsupportedSchema, match=f"contains objects that Actorium did not create: {words}; remove them"
        ) as caught:
            await store.open(read_only=read_only)
    with pytest.raises(UnsupportedSchema):
        repair_file(str(path))
    advice = str(caught.value).partition("(")[2].partition(")")[0]
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(advice)
        if "view v" in words:
            db.execute("DROP VIEW v")
    await store.open()
    assert await versions(store, ALICE) == [1]
    await store.close()


@pytest.mark.asyncio
async def test_a_query_may_read_pragmas(store: EventStore) -> None:
    ((mode,),) = await store.query("PRAGMA journal_mode", ())
    ((found,),) = await store.query("PRAGMA integrity_check", ())
    assert (mode in {"wal", "memory"}, found) == (True, "ok")
