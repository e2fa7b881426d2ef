"""PostgreSQL's SQL: parameters are found by tokens, so strings, names and comments keep their question marks."""

import pytest

from actorium.store.errors import ConfigurationError, StatementFailed
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.dialect import PostgreSQLDialect, tokens

dialect = PostgreSQLDialect()


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ("SELECT ?, ?", "SELECT $1, $2"),
        ("SELECT '?', ?", "SELECT '?', $1"),
        ("SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"),
        (r"SELECT E'\'?', ?", r"SELECT E'\'?', $1"),
        (r"SELECT '\', ?", r"SELECT '\', $1"),
        ('SELECT "a?", ?', 'SELECT "a?", $1'),
        ("SELECT $$?$$, ?", "SELECT $$?$$, $1"),
        ("SELECT $x$?$$?$x$, ?", "SELECT $x$?$$?$x$, $1"),
        ("SELECT 1 -- ?\n, ?", "SELECT 1 -- ?\n, $1"),
        ("SELECT /* ? /* ? */ ? */ ?", "SELECT /* ? /* ? */ ? */ $1"),
        ('CREATE TABLE t (a INTEGER, b int, "INTEGER" TEXT)', 'CREATE TABLE t (a bigint, b bigint, "INTEGER" TEXT)'),
        ("SELECT CAST(? AS INTEGER)", "SELECT CAST($1 AS INTEGER)"),
    ],
)
def test_a_statement_is_translated(sql: str, translated: str) -> None:
    assert dialect.translated(sql) == translated
    assert "".join(token.text for token in tokens(sql)) == sql


@pytest.mark.parametrize(
    ("sql", "is_complete"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT E'\\';", False),
        ("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1;", False),
        ("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql;", True),
        ("SELECT 1; /* open ;", False),
        ("", False),
    ],
)
def test_the_end_of_a_statement_is_found(sql: str, is_complete: bool) -> None:
    assert dialect.is_complete(sql) is is_complete


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    assert dialect.quoted('a"b') == '"a""b"'
    assert dialect.quoted("é" * 31) == '"' + "é" * 31 + '"'
    with pytest.raises(ConfigurationError, match="exceeds PostgreSQL's limit of 63 bytes"):
        dialect.quoted("é" * 32)


async def run(store: EventStore, *sql: str) -> StatementFailed | None:
    failed = await store.save([SaveCheckpoint("p", 1, [(statement, ()) for statement in sql])])
    return failed.get(0)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE checkpoints SET position = 9", "changes checkpoints, a table of the log"),
        ("WITH x AS (SELECT 1) UPDATE Checkpoints SET position = 9", "changes Checkpoints, a table of the log"),
        ('DELETE FROM "events"', "changes events, a table of the log"),
        ("DELETE FROM ONLY events", "changes events, a table of the log"),
        ("INSERT INTO log VALUES (1)", "changes log, a table of the log"),
        ("DROP TABLE IF EXISTS events", "changes events, a table of the log"),
        ("CREATE INDEX i ON events (type)", "changes events, a table of the log"),
        ("TRUNCATE events", "begins with TRUNCATE, which is not allowed"),
        ("ALTER TABLE events ADD a int", "begins with ALTER, which is not allowed"),
        ("COMMIT", "begins with COMMIT, which is not allowed"),
        ("SET search_path = public", "begins with SET, which is not allowed"),
        ("INSERT INTO sums VALUES (1, 2); COMMIT", "cannot insert multiple commands"),
        ("", "begins with no word"),
    ],
)
@pytest.mark.asyncio
async def test_a_statement_that_would_change_the_log_fails_alone(opened: PostgreSQLStore, sql: str, words: str) -> None:
    assert await run(opened, "CREATE TABLE sums (id bigint PRIMARY KEY, total bigint)") is None
    assert await run(opened, "INSERT INTO sums SELECT 1, position FROM checkpoints") is None  # reading is allowed
    failure = await run(opened, "UPDATE sums SET total = 2", sql)
    assert failure is not None
    with pytest.raises(StatementFailed, match=words):
        raise failure
    assert await opened.query("SELECT total FROM sums", ()) == [(1,)]
    assert await run(opened, "UPDATE sums SET total = 3") is None


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM checkpoints", "begins with DELETE, but a query can only read"),
        ("WITH x AS (DELETE FROM checkpoints RETURNING 1) SELECT * FROM x", "read-only transaction"),
        ("SELECT 1; DELETE FROM checkpoints", "cannot insert multiple commands"),
        ("SELECT nothing FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT $1", "expects 1 argument"),
    ],
)
@pytest.mark.asyncio
async def test_a_query_only_reads(opened: PostgreSQLStore, sql: str, words: str) -> None:
    with pytest.raises(StatementFailed, match=words):
        await opened.query(sql, ())
