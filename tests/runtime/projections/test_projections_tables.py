"""Projections with tables: the rows and the checkpoint always move together."""

from typing import Any, ClassVar

import pytest
from support.bank import Add, Added, Tally
from support.read_models import AT_ONCE, Switch, Totals, caught_up, next_version, parked
from support.stores import FaultyStore, append
from support.tables import run_on
from support.virtual_time import virtual

from actorium import (
    ConfigurationError,
    Event,
    Projection,
    Reader,
    RecordedEvent,
    Runtime,
    Transaction,
    on,
    query,
    upcast,
)
from actorium.errors import StatementFailed
from actorium.store.event_store import AppendBatch
from actorium.store.memory import MemoryStore


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


@virtual
async def test_rows_follow_the_log_and_continue_after_a_restart() -> None:
    store = MemoryStore()
    for run in (1, 2):
        async with Runtime([Tally, Totals], store=store) as runtime:
            ack = await runtime.send(Add("a", 5, events=2))
            assert await runtime.query(Totals.all, after=ack.position) == {"a": (10 * run, 2 * run)}
    assert Switch.calls == [1, 2, 3, 4]


@pytest.mark.parametrize("faults", [["after"], ["before"], ["before", "after"], ["after", "after"]])
@virtual
async def test_a_commit_whose_outcome_is_unknown_is_never_repeated(faults: list[Any]) -> None:
    store = FaultyStore()
    async with Runtime([Tally, Totals], store=store) as runtime:
        processor = runtime.processors[Totals]
        processor.pause()
        await runtime.send(Add("a", 5, events=3))
        store.faults.extend(faults)
        processor.resume()
        assert await runtime.query(Totals.all, after=3) == {"a": (15, 3)}
        store.faults.clear()
        ack = await runtime.send(Add("a", 1))
        assert await runtime.query(Totals.all, after=ack.position) == {"a": (16, 4)}


@pytest.mark.parametrize(
    "schema", ["CREATE TABLE t (", "CREATE TABLE t (a); CREATE INDEX i ON elsewhere (a)", "DROP TABLE t"]
)
@virtual
async def test_an_invalid_schema_refuses_the_start_with_the_reason(schema: str) -> None:
    broken = type("Broken", (Totals,), {"schema": schema})
    runtime = Runtime([Tally, broken], store="memory://")
    with pytest.raises(ConfigurationError, match=r"schema|a projection begins with"):
        await runtime.start()


@virtual
async def test_a_schema_that_changed_without_a_new_version_refuses_the_start() -> None:
    store = MemoryStore()
    async with Runtime([Tally, Totals], store=store) as runtime:
        await runtime.send(Add("a", 1), wait_for=[Totals])
    changed = type("Totals", (Totals,), {"schema": Totals.schema.replace("events INTEGER NOT NULL", "events INTEGER")})
    with pytest.raises(ConfigurationError, match="raise the version"):
        await Runtime([Tally, changed], store=store).start()
    async with Runtime([Tally, Totals], store=store) as runtime:
        assert await runtime.query(Totals.of, "a") == 1


@virtual
async def test_an_older_version_than_the_store_holds_is_refused() -> None:
    store = MemoryStore()
    async with Runtime([Tally, next_version(Totals)], store=store) as runtime:
        await runtime.send(Add("a", 1))
    with pytest.raises(ConfigurationError, match="run the newer code"):
        await Runtime([Tally, Totals], store=store).start()


def test_a_projection_with_tables_has_no_other_state() -> None:
    class Counting(Totals):
        seen: int = 0

    with pytest.raises(ConfigurationError, match="is its tables"):
        Runtime([Tally, Counting], store="memory://")


@virtual
async def test_the_event_of_a_handler_that_changes_its_own_fields_is_parked() -> None:
    class Scribbling(Totals):
        @on
        def added(self, event: Added, recorded: RecordedEvent[Event], tx: Transaction) -> None:
            self.last = event.amount

    async with Runtime([Tally, Scribbling], store="memory://", settings=AT_ONCE) as runtime:
        await runtime.send(Add("a", 1))
        await caught_up(runtime, Scribbling)
        assert "AttributeError" in runtime.processors[Scribbling].dead_letters()[0].error


@pytest.mark.parametrize(
    "attributes", [{"snapshot_every": 5}, {"version": 0}, {"version": True}, {"projection_name": 'a"b'}]
)
def test_useless_or_harmful_options_are_refused(attributes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(attributes))):
        type("Wrong", (Totals,), attributes)


def test_two_names_that_are_the_same_to_sqlite_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="give one of them"):
        Runtime([Tally, Totals, type("totals", (Totals,), {})], store="memory://")


def test_a_handler_that_yields_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="contains a yield"):

        class Yielding(Projection):
            @on
            def added(self, event: Added) -> Any:
                yield event


class Awkward:
    """Neither SQLite nor anybody else knows how to store it; asked to adapt itself, it breaks."""

    def __conform__(self, protocol: object) -> Any:
        raise KeyError("an adapter with a bug")


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}, 1 << 70, "\ud800", Awkward()])
@virtual
async def test_a_parameter_that_sqlite_does_not_accept_parks_only_its_event(value: Any) -> None:
    class Odd(Totals):
        @on
        def added(self, event: Added, recorded: RecordedEvent[Event], tx: Transaction) -> None:
            tx.execute("INSERT INTO totals VALUES (?, ?, 1)", recorded.stream_id, value if event.amount == 7 else 1)

    async with Runtime([Tally, Odd], store="memory://", settings=AT_ONCE) as runtime:
        runtime.processors[Odd].pause()
        for id, amount in (("a", 1), ("b", 7), ("c", 1)):
            await runtime.send(Add(id, amount))
        runtime.processors[Odd].resume()
        await caught_up(runtime, Odd)
        assert parked(runtime, Odd) == [("b", 1)]
        assert sorted(await runtime.query(Odd.all)) == ["a", "c"]
        assert (await runtime.send(Add("d", 1))).version == 1


class Split(Event):
    """Once one event, now two."""

    schema_version = 2
    amount: int

    @upcast(1)
    @staticmethod
    def halve(payload: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"amount": payload["amount"]}, {"amount": -payload["amount"]}]


class Halves(Projection):
    schema = "CREATE TABLE halves (position INTEGER, part INTEGER, amount INTEGER)"
    breaks: ClassVar[str] = ""

    @on
    def split(self, event: Split, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO halves VALUES (?, ?, ?)", recorded.position, recorded.part, event.amount)
        if recorded.part == 1 and event.amount == -7:
            if self.breaks == "python":
                raise ValueError("the second half cannot be done")
            if self.breaks == "sql":
                tx.execute("INSERT INTO halves VALUES (1, 2, 3, 4)")

    @query
    async def all(self, db: Reader) -> list[tuple[Any, ...]]:
        return await db.fetch_all("SELECT position, part, amount FROM halves ORDER BY 1, 2")


@pytest.mark.parametrize("breaks", ["python", "sql"])
@virtual
async def test_the_events_of_one_record_are_applied_all_or_none(breaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from actorium.store.event_store import Append
    from actorium.store.events import EncodedEvent
    from actorium.store.names import StreamName

    monkeypatch.setattr(Halves, "breaks", breaks)
    store = MemoryStore()
    await store.open()
    for id, amount in (("a", 1), ("b", 7), ("c", 2)):
        old = EncodedEvent("Split", 1, b'{"amount":%d}' % amount, b"{}")
        await store.append(AppendBatch(0, [Append(StreamName("Tally", id), 0, (old,))]))
    await store.close()
    whole = [(1, 0, 1), (1, 1, -1), (3, 0, 2), (3, 1, -2)]
    async with Runtime([Tally, Halves], store=store, settings=AT_ONCE) as runtime:
        assert await runtime.query(Halves.all, after=3) == whole
        assert parked(runtime, Halves) == [("b", 1)]
        monkeypatch.setattr(Halves, "breaks", "")
        assert await runtime.processors[Halves].retry() == 1
        assert await runtime.query(Halves.all) == sorted([*whole, (2, 0, 7), (2, 1, -7)])


class Other(Event):
    amount: int


class Both(Totals):
    @on
    def added(self, event: Added | Other, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        kind = type(event).__name__
        tx.execute("INSERT INTO totals VALUES (?, ?, 1)", f"{kind} {recorded.position}", event.amount)


@virtual
async def test_one_handler_handles_events_of_several_classes() -> None:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, Added(1), Other(2))
    await store.close()
    async with Runtime([Tally, Both], store=store) as runtime:
        assert await runtime.query(Both.all, after=2) == {"Added 1": (1, 1), "Other 2": (2, 1)}


@virtual
async def test_a_query_cannot_write_and_a_handler_cannot_write_elsewhere() -> None:
    class Nosy(Totals):
        @on
        def added(self, event: Added, recorded: RecordedEvent[Event], tx: Transaction) -> None:
            tx.execute("DELETE FROM checkpoints")

        @query
        async def ask(self, db: Reader, sql: str) -> list[tuple[Any, ...]]:
            return await db.fetch_all(sql)

    async with Runtime([Tally, Nosy], store="memory://", settings=AT_ONCE) as runtime:
        await runtime.send(Add("a", 1))
        await caught_up(runtime, Nosy)
        assert "not a table of the projection" in runtime.processors[Nosy].dead_letters()[0].error
        with pytest.raises(ConfigurationError):
            await runtime.query(Nosy.ask, "DELETE FROM totals")
        with pytest.raises((ConfigurationError, StatementFailed)):
            await runtime.query(Nosy.ask, "WITH x AS (SELECT 1) DELETE FROM totals WHERE total IN x")


@pytest.mark.asyncio
async def test_people_find_the_rows_under_their_plain_names(log_url: str) -> None:
    async with Runtime([Tally, Totals], store=log_url) as runtime:
        await runtime.send(Add("a", 3), wait_for=[Totals])
    assert await run_on(log_url, "SELECT id, total FROM totals") == [("a", 3)]
    assert await run_on(log_url, "SELECT position FROM checkpoints WHERE name LIKE '%version 1'") == [(1,)]


@virtual
async def test_a_reset_rebuilds_the_rows() -> None:
    async with Runtime([Tally, Totals], store="memory://") as runtime:
        await runtime.send(Add("a", 3, events=2), wait_for=[Totals])
        await runtime.processors[Totals].reset()
        assert await runtime.query(Totals.all, after=2) == {"a": (6, 2)}
        assert Switch.calls == [1, 2, 1, 2]
