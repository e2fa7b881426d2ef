"""Statements in one message do exactly what they do one by one."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from support.postgres import run_sql, schema_of

from actorium.store.errors import StatementFailed
from actorium.store.event_store import SaveCheckpoint, Statement
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.statement_batches import StatementBatches

TABLE = (
    "CREATE TABLE things (id BIGINT PRIMARY KEY, word TEXT, short VARCHAR(5), small SMALLINT, number BIGINT, "
    "ratio DOUBLE PRECISION, flag BOOLEAN, data BYTEA, price NUMERIC)"
)
COLUMNS = "id, word, short, small, number, ratio, flag, data"
INSERT = f"INSERT INTO things ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
ROWS: list[tuple[Any, ...]] = [
    (1, "it's", "a", 1, -(2**63), 0.1, True, b"\x00\xff'"),
    (2, "back\\slash \\' and $1; -- x", "", -5, 2**63 - 1, math.inf, False, b""),
    (3, "", None, None, None, None, None, None),
    (4, "line\nbreak 'quoted' \U0001f600", "ééééé", 0, 0, 5e-324, True, bytes(range(256))),
    (5, "'); DROP TABLE things; --", "''", 7, 7, -1.7976931348623157e308, False, b"\\x00"),
]


def interleaved(rows: Sequence[tuple[Any, ...]]) -> list[Statement]:
    """Inserts with another statement between them, so that the driver could not send them together."""
    return [one for row in rows for one in ((INSERT, row), ("UPDATE things SET price = $1", (None,)))]


async def save(store: PostgreSQLStore, position: int, statements: Sequence[Statement]) -> Any:
    return (await store.save([SaveCheckpoint("p", position, statements)])).get(0)


@pytest.mark.asyncio
async def test_every_kind_of_parameter_arrives_as_it_was(opened: PostgreSQLStore) -> None:
    assert await save(opened, 1, [(TABLE, ())]) is None
    assert await save(opened, 2, interleaved(ROWS)) is None
    assert await opened.query(f"SELECT {COLUMNS} FROM things ORDER BY id", ()) == ROWS


@pytest.mark.asyncio
async def test_statements_run_in_their_order(opened: PostgreSQLStore) -> None:
    await save(opened, 1, [(TABLE, ())])
    add = ("UPDATE things SET number = number + $1 WHERE id = $2", (5, 1))
    double = ("UPDATE things SET number = number * 2", ())
    steps: list[Statement] = [("INSERT INTO things (id, number) VALUES ($1, $2)", (1, 1)), double, add, double, add]
    assert await save(opened, 2, steps) is None
    assert await opened.query("SELECT number FROM things", ()) == [(19,)]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (("INSERT INTO things (id) VALUES ($1)", (1,)), "duplicate key"),
        (("INSERT INTO nothing VALUES ($1)", (1,)), "does not exist"),
        (("UPDATE things SET number = $1", ("7",)), "cannot be interpreted as an integer"),
        (("UPDATE things SET word = $1", ("nul \0",)), "invalid byte sequence"),
        (("UPDATE things SET small = $1", (70_000,)), "out of int16 range"),
        (("UPDATE things SET word = $1", ()), "expects 1 argument"),
        (("UPDATE events SET payload = $1", ("",)), "a table of the log"),
        (("UPDATE things SET number = 1; UPDATE things SET number = 2", ()), "multiple commands"),
    ],
)
@pytest.mark.asyncio
async def test_the_statement_at_fault_is_named_and_nothing_is_written(
    opened: PostgreSQLStore, statement: Statement, error: str
) -> None:
    await save(opened, 1, [(TABLE, ())])
    insert = ("INSERT INTO things (id) VALUES ($1)", (1,))
    failure = await save(opened, 2, [insert, statement, ("UPDATE things SET number = 3", ())])
    assert isinstance(failure, StatementFailed)
    assert statement[0] in str(failure)
    assert error in str(failure)
    assert await opened.query("SELECT count(*) FROM things", ()) == [(0,)]
    assert await opened.load_checkpoint("p") == 1


@pytest.mark.asyncio
async def test_parameters_without_a_literal_go_one_by_one(opened: PostgreSQLStore) -> None:
    await save(opened, 1, [(TABLE, ())])
    rows: list[Statement] = [
        ("INSERT INTO things (id, price) VALUES ($1, $2)", (number, Decimal("1.10"))) for number in range(3)
    ]
    rows.insert(1, ("UPDATE things SET price = price", ()))
    assert await save(opened, 2, rows) is None
    assert await opened.query("SELECT sum(price) FROM things", ()) == [(Decimal("3.30"),)]


@pytest.mark.asyncio
async def test_a_table_that_is_made_again_is_written(opened: PostgreSQLStore) -> None:
    for position in (1, 4):
        assert await save(opened, position, [("DROP TABLE IF EXISTS things", ()), (TABLE, ())]) is None
        assert await save(opened, position + 1, interleaved(ROWS)) is None
        assert await opened.query("SELECT count(*) FROM things", ()) == [(5,)]


@pytest.mark.asyncio
async def test_a_new_connection_prepares_its_own_statements(opened: PostgreSQLStore, url: str) -> None:
    await save(opened, 1, [(TABLE, ())])
    await save(opened, 2, interleaved(ROWS[:2]))
    await run_sql(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '% tables'")
    assert await save(opened, 3, interleaved(ROWS[2:])) is None
    assert await opened.query("SELECT count(*) FROM things", ()) == [(5,)]


@pytest.mark.asyncio
async def test_many_statements_take_few_messages(
    opened: PostgreSQLStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_sql(url, f'CREATE TABLE "{schema_of(url)}".things (id BIGINT)')
    assert opened._session is not None

    async def run(connection: Connection) -> int:
        sent = []
        execute = connection.execute

        class Counted:
            prepare = connection.prepare

            @staticmethod
            async def execute(message: str) -> None:
                sent.append(message)
                await execute(message)

        texts = ("INSERT INTO things VALUES ($1)", "INSERT INTO things (id) VALUES ($1)")
        statements = [(texts[number % 2], (number,)) for number in range(20_000)]
        assert await StatementBatches().run(Counted, statements)  # type: ignore[arg-type]
        return len(sent)

    assert await opened._session.tables.run(run) < 10
    assert await opened.query("SELECT count(*), count(DISTINCT id) FROM things", ()) == [(20_000, 20_000)]
