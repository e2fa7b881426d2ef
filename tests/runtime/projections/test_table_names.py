"""A projection's SQL: only its own names are replaced, and it writes only to its own tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium import ConfigurationError
from actorium.runtime.projections.sql_tokens import sql_tokens
from actorium.runtime.projections.table_names import TableNames, split_statements
from actorium.store.tables.dialect import SQLiteDialect

SQLITE = SQLiteDialect()

SCHEMA = """
-- a comment; with a semicolon, and balance in it
CREATE TABLE IF NOT EXISTS balance (
    id INTEGER PRIMARY KEY, balance INTEGER, owner TEXT
);
CREATE TABLE "owners" (id TEXT PRIMARY KEY, note TEXT DEFAULT 'x; balance');
CREATE UNIQUE INDEX by_owner ON balance (owner);
CREATE VIEW rich AS SELECT * FROM balance WHERE balance > 100;
CREATE TRIGGER noted AFTER UPDATE OF balance ON balance BEGIN
    UPDATE owners SET note = 'balance; changed' WHERE id = NEW.owner;
    DELETE FROM owners WHERE 0;
END;
"""


@pytest.fixture
def names() -> TableNames:
    return TableNames("P__v1__", SCHEMA, SQLITE)


@pytest.fixture
def db(names: TableNames) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in names.schema():
            db.execute(statement)
        yield db


def test_everything_a_schema_creates_gets_the_prefix(names: TableNames, db: sqlite3.Connection) -> None:
    assert names.plain == ("balance", "owners", "by_owner", "rich", "noted")
    made = db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    assert {name for (name,) in made} == {f"P__v1__{name}" for name in names.plain}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO balance VALUES (1, 5, 'o') ON CONFLICT DO UPDATE SET balance = balance + excluded.balance",
        "INSERT OR REPLACE INTO balance VALUES (1, 5, 'o')",
        "REPLACE INTO [balance] VALUES (1, 5, 'o')",
        "insert into `balance` values (1, 5, 'balance')",
        'UPDATE OR IGNORE "balance" SET balance = 1e5 FROM owners WHERE owners.id = owner',
        "UPDATE balance AS b SET balance = 1 WHERE b.id = 1 RETURNING balance",
        "WITH wanted AS (SELECT id FROM owners) DELETE FROM balance WHERE owner IN (SELECT id FROM wanted)",
        "INSERT INTO owners SELECT 'a', json_extract('{\"balance\": 1}', '$.balance')",
        "/* delete from events */ DELETE FROM balance -- update events",
        "INSERT INTO owners VALUES ('UPDATE events SET x', 'it''s INTO events')",
        "DELETE FROM rich WHERE 0",
    ],
)
def test_statements_on_its_own_tables_run(names: TableNames, db: sqlite3.Connection, sql: str) -> None:
    rewritten = names.rewrite(sql)
    if "rich" not in sql:
        db.execute(rewritten)
    assert "P__v1__" in rewritten


def test_strings_comments_and_json_paths_stay_as_they_are(names: TableNames) -> None:
    sql = "SELECT '$.balance', x'00', id FROM rich -- balance\nWHERE note = 'balance' /* owners */"
    assert names.rewrite_query(sql) == sql.replace("rich", '"P__v1__rich"')


def test_a_column_named_like_its_table_is_renamed_consistently(names: TableNames, db: sqlite3.Connection) -> None:
    db.execute(names.rewrite("INSERT INTO balance VALUES (?, ?, ?)"), (1, 500, "o"))
    db.execute(names.rewrite("UPDATE balance SET balance = balance + 1"))
    assert db.execute(names.rewrite_query("SELECT balance.balance FROM balance")).fetchall() == [(501,)]
    assert db.execute(names.rewrite_query("SELECT count(*) FROM rich")).fetchall() == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM events",
        'delete from "events"',
        "INSERT INTO checkpoints VALUES ('x', 1)",
        "UPDATE OR FAIL events SET payload = ''",
        "WITH x AS (SELECT 1) UPDATE events SET payload = ''",
        "INSERT INTO main.balance VALUES (1, 1, '')",
        "INSERT INTO balance VALUES (1); DELETE FROM events",
        "INSERT OR ROLLBACK INTO balance VALUES (1, 1, '')",
        "DROP TABLE balance",
        "ALTER TABLE balance ADD COLUMN x",
        "CREATE TABLE other (a)",
        "PRAGMA user_version = 7",
        "ATTACH 'x.db' AS x",
        "COMMIT",
        "VACUUM",
        "",
        "-- nothing",
    ],
)
def test_a_handler_writes_to_its_own_tables_and_does_nothing_else(names: TableNames, sql: str) -> None:
    with pytest.raises(ConfigurationError, match=r"projection|ROLLBACK"):
        names.rewrite(sql)


@pytest.mark.parametrize(
    "sql", ["DELETE FROM balance", "WITH x AS (SELECT 1) DELETE FROM balance", "PRAGMA user_version"]
)
def test_a_query_only_reads(names: TableNames, sql: str) -> None:
    with pytest.raises(ConfigurationError):
        names.rewrite_query(sql)


@pytest.mark.parametrize(
    "schema",
    ["CREATE TEMP TABLE t (a)", "CREATE TABLE t (a); DELETE FROM events", "PRAGMA user_version", "DROP TABLE t"],
)
def test_a_schema_creates_tables_and_nothing_else(schema: str) -> None:
    with pytest.raises(ConfigurationError):
        TableNames("P__v1__", schema, SQLITE).schema()


@pytest.mark.parametrize(
    "column",
    ["owner TEXT REFERENCES owners (id) ON DELETE CASCADE", "owner TEXT, FOREIGN KEY (owner) references owners"],
)
def test_a_foreign_key_is_refused_with_the_reason(column: str) -> None:
    names = TableNames("P__v1__", f"CREATE TABLE owners (id TEXT PRIMARY KEY); CREATE TABLE cars ({column})", SQLITE)
    with pytest.raises(ConfigurationError, match="a projection must not use foreign keys"):
        names.schema()


def test_a_column_may_be_named_references() -> None:
    names = TableNames("P__v1__", "CREATE TABLE books (\"references\" TEXT DEFAULT 'REFERENCES')", SQLITE)
    assert len(names.schema()) == 1


def test_a_schema_may_fill_its_tables() -> None:
    names = TableNames("P__v1__", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", SQLITE)
    assert names.schema()[1] == 'INSERT INTO "P__v1__t" VALUES (1)'


def test_statements_are_split_where_they_end() -> None:
    assert split_statements("CREATE TABLE a (x DEFAULT ';'); ;\n-- last;\n", SQLITE) == [
        "CREATE TABLE a (x DEFAULT ';')"
    ]


def test_statements_on_independent_tables_are_grouped_and_others_keep_their_order() -> None:
    free = TableNames("P__v1__", "CREATE TABLE a (x); CREATE TABLE b (x)", SQLITE)
    assert free.group_of(free.rewrite("INSERT INTO a VALUES (1)")) != free.group_of(free.rewrite("DELETE FROM b"))
    assert free.group_of(free.rewrite("INSERT INTO a SELECT x FROM b")) == 0
    for tie in (
        "CREATE VIEW v AS SELECT * FROM a",
        "CREATE TRIGGER t AFTER UPDATE ON a BEGIN DELETE FROM b; END",
        "CREATE VIRTUAL TABLE w USING fts5 (body)",
    ):
        tied = TableNames("P__v1__", f"CREATE TABLE a (x); CREATE TABLE b (x); {tie}", SQLITE)
        assert tied.group_of(tied.rewrite("INSERT INTO a VALUES (1)")) == 0


def test_ever_changing_statements_do_not_fill_the_memory(names: TableNames) -> None:
    for n in range(2_500):
        names.rewrite(f"DELETE FROM balance WHERE id = {n}")
    assert len(names.rewritten) <= 1_000


@pytest.mark.parametrize(
    ("sql", "rewritten"),
    [
        ("SELECT :balance, @balance, $balance FROM rich", 'SELECT :balance, @balance, $balance FROM "P__v1__rich"'),
        ("SELECT b.id FROM main.balance AS b", 'SELECT b.id FROM main."P__v1__balance" AS b'),
        (
            "WITH balances AS (SELECT * FROM [balance]) SELECT * FROM balances -- rich\r rich\n, `rich`",
            'WITH balances AS (SELECT * FROM "P__v1__balance") SELECT * FROM balances -- rich\r rich\n, "P__v1__rich"',
        ),
        ("SELECT 'it''s rich', \"it's rich\" FROM RICH", "SELECT 'it''s rich', \"it's rich\" FROM \"P__v1__rich\""),
        ("SELECT 'rich\\', rich.id, 'rich'", "SELECT 'rich\\', \"P__v1__rich\".id, 'rich'"),
        (
            "SELECT/* /* rich */rich.id/**/FROM/*+rich*/rich",
            'SELECT/* /* rich */"P__v1__rich".id/**/FROM/*+rich*/"P__v1__rich"',
        ),
        ("SELECT 0x1F, 1e5, .5, x'0a' , riché FROM ricH", "SELECT 0x1F, 1e5, .5, x'0a' , riché FROM \"P__v1__rich\""),
        ("SELECT note ->> '$.rich' -> 'rich' FROM rich", "SELECT note ->> '$.rich' -> 'rich' FROM \"P__v1__rich\""),
        ("SELECT replace(note, 'rich', '') FROM rich", "SELECT replace(note, 'rich', '') FROM \"P__v1__rich\""),
        ("SELECT begin show FROM rich", 'SELECT begin show FROM "P__v1__rich"'),
    ],
)
def test_only_names_are_replaced_and_the_rest_is_unchanged(names: TableNames, sql: str, rewritten: str) -> None:
    assert names.rewrite_query(sql) == rewritten


@pytest.mark.parametrize("name", ['"two words"', '"a""b"', "`a``b`", "[a`b]", "a$b", "émigré", '"begin"', '"group by"'])
def test_a_table_may_have_any_name(name: str) -> None:
    names = TableNames("P__v1__", f"CREATE TABLE {name} (x)", SQLITE)
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in names.schema():
            db.execute(statement)
        db.execute(names.rewrite(f"INSERT INTO {name} VALUES (1)"))
        assert db.execute(names.rewrite_query(f"SELECT x FROM {name}")).fetchall() == [(1,)]
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [(f"P__v1__{names.plain[0]}",)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM 'events'",
        "DELETE FROM 'balance'",
        "INSERT INTO 'balance' VALUES (1, 1, '')",
        "WITH x AS (SELECT begin show FROM balance) DELETE FROM events",
        "WITH x AS (SELECT '\\' FROM balance) DELETE FROM events -- ' FROM balance",
        "/* /* */ DELETE FROM events -- */",
        "REPLACE INTO events VALUES ('balance')",
    ],
)
def test_no_write_hides_from_the_tokenizer(names: TableNames, sql: str) -> None:
    with pytest.raises(ConfigurationError, match="not a table of the projection"):
        names.rewrite(sql)


@pytest.mark.parametrize("sql", ["SELECT 'rich", 'SELECT "rich', "SELECT [rich", "SELECT `rich", "SELECT 1 /* rich"])
def test_an_incomplete_statement_is_refused_with_advice(names: TableNames, sql: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be parsed as SQL: close every string") as caught:
        names.rewrite_query(sql)
    assert repr(sql) in str(caught.value)


PARTS = [
    "'", "''", '"', "[", "]", "`", "--", "/*", "*/", "\n", "\r", " ", ":", "@", "$", "?", ".", "1", "0x", "x'00'", "\\",
    "balance", "Rich", "é", "begin", "show", "replace", "group by", "{#", "#}", "{%", "->>", "||", ";", "n'",
    "e'", "(", ")",
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_the_parts_of_a_statement_join_to_its_text(sql: str) -> None:
    try:
        tokens = sql_tokens(sql)
    except ConfigurationError:
        return
    assert "".join(token.text for token in tokens) == sql
