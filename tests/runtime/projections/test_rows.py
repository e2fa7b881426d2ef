"""Tables of rows: what handlers put, add and delete is folded, written once, and read back as objects."""

import sqlite3
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.read_models import AT_ONCE, caught_up, parked
from support.rows import Seen, Set, Thing, Total, Totals, WasSet
from support.runs_on import ON_SQLITE
from support.stores import GatedStore
from support.virtual_time import virtual

from actorium import (
    ConfigurationError,
    Event,
    EventStore,
    Key,
    Projection,
    Reader,
    RecordedEvent,
    Runtime,
    Table,
    Transaction,
    on,
    query,
)
from actorium.runtime.projections import sql_tokens
from actorium.runtime.projections.row_fold import ADD, DELETE, PUT, Recorded, folded
from actorium.runtime.projections.tables import definition_of
from actorium.store.memory import MemoryStore
from actorium.store.sql.row_sql import write_rows
from actorium.store.sqlite import SQLiteStore
from actorium.store.tables.dialect import SQLiteDialect
from actorium.store.tables.row_tables import KEY_BYTES_MAX
from actorium.testing import given_events

INT_MAX = 2**63 - 1


# --- the fold -----------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


class Everything(Table):
    name: Key[str]
    number: Key[int]
    count: int = 0
    maybe: int | None = None
    text: str = ""
    note: str | None = None
    flag: bool = False
    data: bytes = b""
    tags: list[int] = []
    colour: Colour | None = None


small = st.integers(-5, 5)
rows = st.builds(
    Everything,
    st.sampled_from("ab"),
    st.integers(0, 1),
    small,
    st.none() | small,
    st.sampled_from(["", "x", "ü"]),
    st.none() | st.sampled_from(["n", "m"]),
    st.booleans(),
    st.binary(max_size=2),
    st.lists(small, max_size=2),
    st.none() | st.just(Colour.RED),
)
changes = st.one_of(
    st.tuples(st.sampled_from([PUT, ADD]), rows),
    st.tuples(st.just(DELETE), st.tuples(st.just(Everything), st.tuples(st.sampled_from("ab"), st.integers(0, 1)))),
    st.tuples(st.sampled_from([PUT, ADD]), st.builds(Seen, st.sampled_from("ab"))),
    st.tuples(st.just(DELETE), st.tuples(st.just(Seen), st.tuples(st.sampled_from("ab")))),
)
NAMES: dict[type[Table], str] = {Everything: "P__v1__Everything", Seen: "P__v1__Seen"}


def written(groups: Sequence[Sequence[Recorded]]) -> dict[str, list[Table]]:
    """The rows of both tables after each of these groups was folded and written."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    for table, name in NAMES.items():
        db.execute(SQLiteDialect().create_table(msgspec.structs.replace(definition_of(table).shape, name=name)))
    for group in groups:
        for one in folded(group, NAMES).rows:
            write_rows(db, one)
    found = {
        name: [definition_of(table).decoded(row) for row in db.execute(f'SELECT * FROM "{name}"')]
        for table, name in NAMES.items()
    }
    db.close()
    return found


@given(st.lists(changes, max_size=30), st.lists(st.integers(0, 30), max_size=3))
def test_changes_folded_in_any_groups_are_those_written_one_by_one(recorded: list[Recorded], cuts: list[int]) -> None:
    one_by_one = written([[one] for one in recorded])
    assert written([recorded]) == one_by_one
    places = [0, *sorted(min(cut, len(recorded)) for cut in cuts), len(recorded)]
    groups = [recorded[begin:end] for begin, end in pairwise(places)]
    assert written(groups) == one_by_one


def test_a_row_that_changes_a_thousand_times_is_written_once() -> None:
    recorded: list[Recorded] = [(ADD, Total("a", 1, 1)) for _ in range(1_000)]
    (changes,) = folded(recorded, {Total: "T"}).rows
    assert (changes.add, changes.put, changes.delete) == ([("a", 1_000, 1_000)], [], [])


# --- in a runtime -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", ON_SQLITE])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], EventStore]:
    memory = MemoryStore()
    return lambda: memory if request.param == "memory" else SQLiteStore(tmp_path / "log.db")


@pytest.mark.asyncio
async def test_rows_are_written_with_the_checkpoint_and_read_as_objects(make_store: Callable[[], EventStore]) -> None:
    async with Runtime([Thing, Totals], store=make_store()) as runtime:
        for command in (Set("a", 5), Set("a", 7), Set("b", 1), Set("c", 1), Set("c", 0, "delete")):
            await runtime.send(command)
        ack = await runtime.send(Set("b", 40, "put"))
        assert await runtime.query(Totals.all, after=ack.position) == [Total("a", 12, 2), Total("b", 40, 0)]
        assert (await runtime.query(Totals.of, "a"), await runtime.query(Totals.of, "c")) == (12, None)
        assert await runtime.query(Totals.by_sql) == [("b", 40), ("a", 12)]
        await runtime.processors[Totals].reset()
        await caught_up(runtime, Totals)
        assert await runtime.query(Totals.all, after=ack.position) == [Total("a", 12, 2), Total("b", 40, 0)]
    async with Runtime([Thing, Totals], store=make_store()) as runtime:
        ack = await runtime.send(Set("a", 1))
        assert await runtime.query(Totals.of, "a", after=ack.position) == 13


@pytest.mark.asyncio
async def test_a_new_version_is_built_beside_the_old_one(make_store: Callable[[], EventStore]) -> None:
    async with Runtime([Thing, Totals], store=make_store()) as runtime:
        await runtime.send(Set("a", 5))
        await runtime.send(Set("a", 6), wait_for=[Totals])

    class TwiceTotal(Table):
        table_name = "Total"
        thing: Key[str]
        amount: int = 0
        doubled: int = 0

    class Twice(Projection):
        projection_name = "Totals"
        version = 2
        tables = (TwiceTotal,)
        schema = "CREATE INDEX by_amount ON Total (amount)"

        @on
        def was_set(self, event: WasSet, recorded: RecordedEvent[Event], tx: Transaction) -> None:
            tx.add(TwiceTotal(recorded.stream_id, event.amount, 2 * event.amount))

        @query
        async def all(self, db: Reader) -> list[TwiceTotal]:
            return await db.rows(TwiceTotal)

    async with Runtime([Thing, Twice], store=make_store()) as runtime:
        assert await runtime.query(Twice.all, after=2) == [TwiceTotal("a", 11, 22)]

    changed = type("Totals", (Totals,), {"tables": (Total, Seen), "__module__": __name__})
    with pytest.raises(ConfigurationError, match="holds version 2"):
        async with Runtime([Thing, changed], store=make_store()):
            pass


@virtual
async def test_a_changed_table_needs_a_new_version() -> None:
    store = MemoryStore()
    async with Runtime([Thing, Totals], store=store) as runtime:
        await runtime.send(Set("a", 5), wait_for=[Totals])
    changed = type("Totals", (Totals,), {"tables": (Total, Seen), "__module__": __name__})
    with pytest.raises(ConfigurationError, match="raise the version"):
        async with Runtime([Thing, changed], store=store):
            pass


@pytest.mark.parametrize(
    "bad",
    [
        Set("bad", INT_MAX),
        Set("bad", 1, "put", key="k" * (KEY_BYTES_MAX + 1)),
        Set("bad", 1, "put", key="ü" * (KEY_BYTES_MAX // 2 + 1)),
        Set("bad", 1, "put", key="nul \0"),
    ],
    ids=["sum", "key", "bytes of the key", "NUL"],
)
@virtual
async def test_only_the_event_whose_row_cannot_be_written_is_parked(bad: Set) -> None:
    store = GatedStore()
    async with Runtime([Thing, Totals], store=store, settings=AT_ONCE) as runtime:
        runtime.processors[Totals].pause()
        for number in range(20):
            await runtime.send(Set(f"t{number % 3}", 1))
        await runtime.send(Set("bad", 1))
        await runtime.send(bad)
        await runtime.send(Set("t0", 1, key="k" * KEY_BYTES_MAX))
        runtime.processors[Totals].resume()
        await caught_up(runtime, Totals)
        assert parked(runtime, Totals) == [("bad", 2)]
        found = {row.thing: row.amount for row in await runtime.query(Totals.all)}
        assert found == {"t0": 7, "t1": 7, "t2": 6, "bad": 1, "k" * KEY_BYTES_MAX: 1}


@virtual
async def test_a_projection_of_rows_needs_no_reader_of_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise AssertionError("sqlglot is not needed")

    monkeypatch.setattr(sql_tokens, "_splitter", missing)
    async with Runtime([Thing, Totals], store="memory://") as runtime:
        ack = await runtime.send(Set("a", 5))
        assert await runtime.query(Totals.of, "a", after=ack.position) == 5


class Holding(Table):
    owner: Key[str]
    item: Key[int]
    pieces: int = 0


class Holdings(Projection):
    tables = (Holding,)
    schema = "CREATE TABLE log_of_items (item INTEGER)"

    @on
    def was_set(self, event: WasSet, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO log_of_items VALUES (?)", event.amount)
        tx.add(Holding(recorded.stream_id, event.amount, 1))

    @query
    async def of(self, db: Reader, *key: Any) -> list[Holding]:
        return await db.rows(Holding, *key)

    @query
    async def one(self, db: Reader, *key: Any) -> Holding | None:
        return await db.get(Holding, *key)

    @query
    async def unknown(self, db: Reader) -> list[Total]:
        return await db.rows(Total)


def test_rows_are_found_by_the_first_columns_of_their_key() -> None:
    holdings = (
        given_events(Holdings, WasSet(2, "", ""), WasSet(1, "", ""), WasSet(2, "", ""), id="a")
        .and_events(WasSet(1, "", ""), id="b")
        .then_rows(Holding, [Holding("a", 1, 1), Holding("a", 2, 2), Holding("b", 1, 1)])
        .then_rows("SELECT count(*) FROM log_of_items", [(4,)])
        .then_query(Holdings.of, "a", expected=[Holding("a", 1, 1), Holding("a", 2, 2)])
        .then_query(Holdings.of, "a", 2, expected=[Holding("a", 2, 2)])
        .then_query(Holdings.one, "a", 3, expected=None)
    )
    with pytest.raises(AssertionError, match="expected Holding rows to be"):
        holdings.then_rows(Holding, [])
    with pytest.raises(ConfigurationError, match="takes the whole key"):
        holdings.then_query(Holdings.one, "a", expected=None)
    with pytest.raises(ConfigurationError, match="has the key owner, item"):
        holdings.then_query(Holdings.of, "a", 1, 2, expected=None)
    with pytest.raises(ConfigurationError, match="an int is expected"):
        holdings.then_query(Holdings.of, "a", "1", expected=None)
    with pytest.raises(ConfigurationError, match="Total is not in `tables`"):
        holdings.then_query(Holdings.unknown, expected=None)
