"""Old files are upgraded; newer files and those of other programs are left unchanged."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from actorium.store.errors import UnsupportedSchema
from actorium.store.event_store import Snapshot, StreamRead
from actorium.store.names import CommandRecord, StoredEventType
from actorium.store.sql.own_sql import OWN_TABLES
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.integrity.repair import repair_file
from actorium.store.sqlite.schema import MIGRATIONS
from actorium.store.tables.own_rows import AgendaRow, KeptState, ReadDue, ReadKeptState, ReadSagas, SagaRow
from actorium.testing.contract_words import ALICE, BOB, append, commit, linked, versions

NEWEST = len(MIGRATIONS)
RECORDED = sorted((Path(__file__).parent / "data").glob("schema_*.sql"))


def given_a_file(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(script)


def shape_of(path: Path) -> tuple[int, list[str]]:
    """The number of the schema, and the definitions of its objects."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        definitions = [sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        return db.execute("PRAGMA user_version").fetchone()[0], sorted(" ".join(sql.split()) for sql in definitions)


def test_every_schema_but_the_newest_is_recorded() -> None:
    assert [path.stem for path in RECORDED] == [f"schema_{number}" for number in range(1, NEWEST)]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
@pytest.mark.asyncio
async def test_an_older_file_is_upgraded_and_serves(tmp_path: Path, recorded: Path) -> None:
    given_a_file(tmp_path / "old.db", recorded.read_text())
    for path in ("old.db", "new.db"):
        store = SQLiteStore(tmp_path / path)
        await store.open()
        await store.close()
    assert shape_of(tmp_path / "old.db") == shape_of(tmp_path / "new.db")

    store = SQLiteStore(tmp_path / "old.db")
    await store.open()
    try:
        assert (await versions(store, ALICE), await versions(store, BOB)) == ([1, 2], [1])
        assert (await store.find_commands(["c1"])).get("c1") == CommandRecord("c1", 7, ALICE, 1, 2, 2)
        assert await store.load_checkpoint("balances") == 3
        (page,) = await store.read_streams([StreamRead(ALICE, 0, 9, "f")])
        assert page.snapshot == Snapshot(ALICE, 2, "f", b'{"balance":3}')
        # Schema 5 holds a type, too, of which no event was written.
        assert await store.event_types() == [StoredEventType("Deposited", 1, 1)]
        assert await commit(store, append(ALICE, 2)) == [4]
        assert await store.dead_letters("balances") == []
        parked = [letter.position for letter in await store.dead_letters("reaction mail")]
        assert parked == ([] if recorded.stem == "schema_1" else [2])
        agenda = await store.read_rows(ReadDue(9, 10))
        sagas = await store.read_rows(ReadSagas(10))
        state = await store.read_rows(ReadKeptState("projection Sums version 1", 1))
        if recorded.stem in ("schema_4", "schema_5", "schema_6", "schema_7"):
            assert agenda == [AgendaRow("Transfer", "t1", "wait", "deadline", 9)]
            assert sagas == [SagaRow("Transfer", "t1", "running", "wait", "", 5, 6)]
            assert state == [KeptState("projection Sums version 1", 1, 3, b'{"sum":4}')]
        else:
            assert (agenda, sagas, state) == ([], [], [])
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_consequences_are_found_in_a_log_from_before_the_index_existed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await commit(store, linked(ALICE, 0, causation_id="Account/bob/1"))
    await store.close()
    given_a_file(
        tmp_path / "log.db",
        "DROP INDEX by_causation_id; DROP INDEX by_correlation_id; DROP TABLE stream_versions; "
        "DROP TABLE stream_versions_mark; PRAGMA user_version = 6",
    )
    await store.open()
    try:
        assert [one.stream for one in await store.read_linked("causation_id", "Account/bob/1", 0, 9)] == [ALICE]
    finally:
        await store.close()


@pytest.mark.parametrize("name", [*sorted(OWN_TABLES), "stream_versions", "stream_versions_mark"])
@pytest.mark.asyncio
async def test_a_projections_table_survives_a_new_table_with_its_plain_name(tmp_path: Path, name: str) -> None:
    shown = f"CREATE TABLE P__v1__{name} (x); CREATE VIEW {name} AS SELECT * FROM P__v1__{name};"
    given_a_file(tmp_path / "old.db", (RECORDED[2].read_text() + shown))
    store = SQLiteStore(tmp_path / "old.db")
    await store.open()
    try:
        assert await store.read_rows(ReadDue(9, 10)) == []
        assert await store.query(f"SELECT * FROM P__v1__{name}", ()) == []
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_a_newer_file_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await store.close()
    given_a_file(tmp_path / "log.db", f"PRAGMA user_version = {NEWEST + 1}")
    with pytest.raises(UnsupportedSchema, match=f"has schema {NEWEST + 1}, .* up to {NEWEST}: .* upgrade Actorium"):
        await store.open()
    assert shape_of(tmp_path / "log.db")[0] == NEWEST + 1


@pytest.mark.parametrize("script", ["CREATE TABLE notes (text TEXT)", "PRAGMA user_version = 1"])
@pytest.mark.asyncio
async def test_a_file_of_another_program_is_refused_and_left_unchanged(tmp_path: Path, script: str) -> None:
    notes = tmp_path / "notes.db"
    given_a_file(notes, script)
    before = notes.read_bytes()
    with pytest.raises(UnsupportedSchema, match=r"notes\.db is not an Actorium log: .* its own file"):
        await SQLiteStore(notes).open()
    with pytest.raises(UnsupportedSchema, match=r"notes\.db is not an Actorium log: .* its own file"):
        repair_file(str(notes))
    assert notes.read_bytes() == before


@pytest.mark.asyncio
async def test_people_can_read_the_log_with_any_tool(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    await commit(store, append(ALICE, 0), at_us=1_700_000_000_000_042)
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as db:
        rows = db.execute("SELECT * FROM log").fetchall()
    payload, metadata = '{"amount":1}', '{"command_id":"c-1"}'
    at = "2023-11-14T22:13:20.000042Z"
    assert rows == [(1, "Account", "alice", 1, "Deposited", 1, payload, metadata, at)]
