"""The SQL of a projection is translated to the store's dialect."""

import re
from typing import Any, ClassVar

import pytest
from support.bank import Account, Deposit, Deposited, OpenAccount
from support.stores import GatedStore
from support.virtual_time import virtual

from actorium import ConfigurationError, Event, Projection, Reader, RecordedEvent, Runtime, Transaction, on, query
from actorium.store.tables.dialect import Dialect, SQLiteDialect
from actorium.testing import given_events

has_dialect_of_sqlite = pytest.mark.about("memory", "its dialect is one of SQLite")


class Numbered(SQLiteDialect):
    """SQLite with numbered parameters and names in square brackets, as another database might want its own."""

    def translated(self, sql: str) -> str:
        numbers = iter(range(1, 100))
        return re.sub(r"\?", lambda _: f"?{next(numbers)}", sql)

    def quoted(self, name: str) -> str:
        return f"[{name}]"

    def create_view(self, name: str, table: str) -> str:
        return SQLiteDialect().create_view(name, table)  # the form that the store lets through


class NumberedStore(GatedStore):
    """A store of this dialect that takes note of its queries."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[str] = []

    @property
    def dialect(self) -> Dialect:
        return Numbered()

    async def query(self, sql: str, parameters: object) -> list[tuple[object, ...]]:  # type: ignore[override]
        self.queries.append(sql)
        return await self.inner.query(sql, parameters)  # type: ignore[arg-type]


class Sums(Projection):
    schema = "CREATE TABLE sums (id TEXT PRIMARY KEY, amount INTEGER)"

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO sums VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount",
            recorded.stream_id,
            event.amount,
        )

    @query
    async def of(self, db: Reader, id: str) -> int:
        row = await db.fetch_one("SELECT amount FROM sums WHERE id = ?", id)
        return row[0] if row else 0


@has_dialect_of_sqlite
@virtual
async def test_statements_and_queries_are_translated_and_names_quoted() -> None:
    store = NumberedStore()
    async with Runtime([Account, Sums], store=store) as runtime:
        await runtime.send(OpenAccount("alice"))
        ack = await runtime.send(Deposit("alice", 5))
        assert await runtime.query(Sums.of, "alice", after=ack.position) == 5
    checkpoints = [checkpoint for saved in store.saves for checkpoint in saved]
    statements = [sql for checkpoint in checkpoints for sql, _ in checkpoint.statements]
    insert = "INSERT INTO [Sums__v1__sums] VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"
    assert insert in statements
    assert 'CREATE VIEW "sums" AS SELECT * FROM "Sums__v1__sums"' in statements
    assert store.queries[-1] == "SELECT amount FROM [Sums__v1__sums] WHERE id = ?1"


class Few(SQLiteDialect):
    """A dialect of a database that should not commit many events at once."""

    events_per_commit = 3


class FewStore(GatedStore):
    """A store of this dialect."""

    @property
    def dialect(self) -> Dialect:
        return Few()


@has_dialect_of_sqlite
@virtual
async def test_a_dialect_limits_the_events_of_one_commit() -> None:
    store = FewStore()
    async with Runtime([Account], store=store) as runtime:
        await runtime.send(OpenAccount("alice"))
        for amount in range(10):
            await runtime.send(Deposit("alice", amount))
    store.saves.clear()
    async with Runtime([Account, Sums], store=store) as runtime:
        assert await runtime.query(Sums.of, "alice", after=11) == 9
    positions = [one.position for save in store.saves for one in save if one.statements and one.position]
    assert positions[-4:] == [4, 7, 10, 11]  # before them, the tables are made


class Both(Sums):
    schema: ClassVar[dict[str, str]] = {
        "sqlite": "CREATE TABLE sums (id TEXT PRIMARY KEY, amount INTEGER)",
        "postgresql": "CREATE TABLE sums (id text PRIMARY KEY, amount bigint)",
    }


class Elsewhere(Sums):
    schema: ClassVar[dict[str, str]] = {"postgresql": "CREATE TABLE sums (id text PRIMARY KEY, amount bigint)"}


@virtual
async def test_a_schema_may_be_given_by_dialect() -> None:
    async with Runtime([Account, Both], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice"))
        ack = await runtime.send(Deposit("alice", 5))
        assert await runtime.query(Both.of, "alice", after=ack.position) == 5
    given_events(Both, Deposited(5), id="alice").then_query(Both.of, "alice", expected=5)


@has_dialect_of_sqlite
@virtual
async def test_a_schema_without_the_dialect_of_the_store_says_what_to_add() -> None:
    words = r"Elsewhere.schema has SQL for 'postgresql', but this store's dialect is 'sqlite': add 'sqlite': \"CREATE"
    with pytest.raises(ConfigurationError, match=words):
        async with Runtime([Account, Elsewhere], store="memory://"):
            pass
    with pytest.raises(ConfigurationError, match=words):
        given_events(Elsewhere, Deposited(5))


@pytest.mark.parametrize("schema", [{}, {"sqlite": ""}, {"sqlite": 5}, {5: "CREATE TABLE t (a)"}, 5, None])
def test_a_schema_that_is_neither_sql_nor_sql_by_dialect_is_refused(schema: Any) -> None:
    with pytest.raises(ConfigurationError, match="schema"):
        type("Wrong", (Sums,), {"schema": schema, "__module__": __name__})
