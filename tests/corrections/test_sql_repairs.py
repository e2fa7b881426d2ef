"""Repairs of projections in SQL: rows with the touched keys, or all rows, and never a half-written read model."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from support.correcting import DAY, open_account, transfer
from support.postgres import new_log
from support.runs_on import ON_SQLITE

from actorium import ConfigurationError, Event, Projection, Reader, RecordedEvent, Runtime, Transaction, on, query
from actorium.corrections import KeyColumn, Selection
from actorium.examples.bank.domain import Account, Credit, Credited, Debited
from actorium.examples.bank.transfers import Transfer, TransferOrder
from actorium.store.event_store import SaveCheckpoint

pytestmark = pytest.mark.asyncio

WRONG = "bank.account/a/2"
ADD = "INSERT INTO {0} VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET amount = {0}.amount + excluded.amount"


class Code:
    """Whether the handler of `Sums` raises."""

    is_broken = False


class Sums(Projection):
    """The sum of each account's bookings, and a line for each of them."""

    schema = (
        "CREATE TABLE sums (account TEXT PRIMARY KEY, amount BIGINT NOT NULL);"
        "CREATE TABLE lines (account TEXT, version BIGINT, amount BIGINT, PRIMARY KEY (account, version));"
        "CREATE INDEX lines_by_amount ON lines (amount)"
    )
    key = KeyColumn("account", of=lambda recorded: recorded.stream_id)

    @on
    def credited(self, event: Credited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        if Code.is_broken and type(self) is Sums:
            raise ValueError("the new code has a bug")
        tx.execute(ADD.format("sums"), recorded.stream_id, event.amount)
        tx.execute("INSERT INTO lines VALUES (?, ?, ?)", recorded.stream_id, recorded.version, event.amount)

    @on
    def debited(self, event: Debited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(ADD.format("sums"), recorded.stream_id, -event.amount)
        tx.execute("INSERT INTO lines VALUES (?, ?, ?)", recorded.stream_id, recorded.version, -event.amount)

    @query
    async def all(self, db: Reader) -> dict[str, int]:
        return dict(await db.fetch_all("SELECT account, amount FROM sums"))

    @query
    async def lines(self, db: Reader) -> int:
        return (await db.fetch_all("SELECT count(*) FROM lines"))[0][0]


class Unkeyed(Sums):
    """The same, without a key."""

    key = None


class Tied(Projection):
    """A table that a trigger fills: its rows cannot be copied."""

    schema: ClassVar[Any] = {
        "sqlite": "CREATE TABLE seen (account TEXT); CREATE TABLE counts (n INTEGER); INSERT INTO counts VALUES (0);"
        "CREATE TRIGGER counted AFTER INSERT ON seen BEGIN UPDATE counts SET n = n + 1; END",
    }

    @on
    def credited(self, event: Credited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute("INSERT INTO seen VALUES (?)", recorded.stream_id)

    @query
    async def count(self, db: Reader) -> int:
        return (await db.fetch_all("SELECT n FROM counts"))[0][0]


PARTS: list[Any] = [Account, TransferOrder, Transfer, Sums, Unkeyed]


@pytest.fixture(params=[ON_SQLITE, "postgresql", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new log."""
    if request.param == "postgresql":
        with new_log() as url:
            yield url
        return
    yield f"sqlite:///{tmp_path}/bank.db" if request.param == "sqlite" else "memory://"


@pytest_asyncio.fixture
async def runtime(url: str) -> AsyncIterator[Runtime]:
    """A bank with three accounts and a transfer, whose projections have caught up."""
    async with Runtime(PARTS, store=url) as runtime:
        yield await _booked(runtime)


async def _booked(runtime: Runtime) -> Runtime:
    for account in ("a", "b", "c"):
        await open_account(runtime, account, 1_000)
    await transfer(runtime, "t-1", "a", "b", 300)
    for projection in (Sums, Unkeyed):
        await runtime.query(projection.all, after=runtime.statistics().position)
    return runtime


async def _spoil(runtime: Runtime, projection: type[Projection], account: str) -> None:
    """Write a wrong row, as a bug would have left it."""
    processor = runtime.processors[projection]
    sql = f"UPDATE \"{projection.__name__}__v1__sums\" SET amount = 7 WHERE account = '{account}'"

    async def spoil() -> None:
        await processor.checkpoint.save(processor.position, [(sql, ())])

    await processor.between_pages(spoil)


async def _repaired(runtime: Runtime, *, id: str = "c-1", **plan: Any) -> dict[str, int]:
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="a bug", id=id)
    await runtime.corrections.plan(id, by="ann", **plan)
    await runtime.corrections.approve(id, by="bob")
    await runtime.corrections.apply(id)
    return dict((await runtime.corrections.close(id, by="bob")).repaired)


async def _beside(runtime: Runtime) -> list[Any]:
    dialect = runtime.store.dialect
    return [row for row in await runtime.store.query(*dialect.list_objects("")) if "beside" in row[1]]


async def test_only_rows_with_the_touched_keys_are_replaced(runtime: Runtime) -> None:
    for account in ("a", "b"):
        await _spoil(runtime, Sums, account)
    impact = await runtime.corrections.impact(Selection(events=[WRONG]))
    assert {one.name: list(one.keys) for one in impact.projections} == {"Sums": ["a"], "Unkeyed": []}
    assert await _repaired(runtime, repair=[Sums]) == {"Sums": 3}
    assert await runtime.query(Sums.all) == {"a": 700, "b": 7, "c": 1_000}
    assert await runtime.query(Sums.lines) == 5
    assert await _beside(runtime) == []


async def test_a_projection_without_a_key_is_rebuilt_beside_while_queries_see_the_old_rows(runtime: Runtime) -> None:
    for account in ("a", "b"):
        await _spoil(runtime, Unkeyed, account)
    checkpoint = runtime.processors[Unkeyed].checkpoint
    write, seen = checkpoint.writer, []

    async def watched(save: SaveCheckpoint) -> None:
        if save.statements:
            seen.append(await runtime.query(Unkeyed.all))
        await write(save)

    checkpoint.writer = watched
    assert await _repaired(runtime, repair=[Unkeyed]) == {"Unkeyed": -1}
    assert len(seen) >= 2  # the tables are made and filled before the rows are copied
    assert all(one == {"a": 7, "b": 7, "c": 1_000} for one in seen)
    assert await runtime.query(Unkeyed.all) == {"a": 700, "b": 1_300, "c": 1_000}


async def test_marked_events_are_skipped_now_and_by_a_reset(runtime: Runtime) -> None:
    assert await _repaired(runtime, skip=[Sums, Unkeyed]) == {"Sums": 2, "Unkeyed": -1}
    for _ in range(2):
        for projection in (Sums, Unkeyed):
            assert (await runtime.query(projection.all, after=runtime.statistics().position))["a"] == -300
            await runtime.processors[projection].reset()
            await runtime.send(Credit("c", 1, DAY, "cash"))


async def test_a_repair_that_is_cut_short_at_any_write_is_completed_by_the_next_one(runtime: Runtime) -> None:
    await _spoil(runtime, Sums, "a")
    checkpoint = runtime.processors[Sums].checkpoint
    write = checkpoint.writer

    def failing(after: int) -> Callable[[SaveCheckpoint], Awaitable[None]]:
        left = after

        async def fail(save: SaveCheckpoint) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise ConfigurationError("killed")
            await write(save)

        return fail

    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="a bug", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", repair=[Sums])
    await runtime.corrections.approve("c-1", by="bob")
    for after in range(3):
        checkpoint.writer = failing(after)
        with pytest.raises(ConfigurationError, match="killed"):
            await runtime.corrections.apply("c-1")
        assert (await runtime.query(Sums.all))["a"] == 7
        assert (await runtime.corrections.get("c-1")).repaired == ()
    checkpoint.writer = write
    await runtime.corrections.apply("c-1")
    assert await runtime.query(Sums.all) == {"a": 700, "b": 1_300, "c": 1_000}
    assert await _beside(runtime) == []


@pytest.mark.about("sqlite", "a server copies such rows")
async def test_rows_that_cannot_be_copied_are_rebuilt_in_place(log_url: str) -> None:
    async with Runtime([Account, Tied], store=log_url) as runtime:
        await open_account(runtime, "a", 1_000)
        assert await runtime.query(Tied.count, after=runtime.statistics().position) == 1
        assert await _repaired(runtime, repair=[Tied]) == {"Tied": -1}
        await runtime.send(Credit("a", 1, DAY, "cash"))
        assert await runtime.query(Tied.count, after=runtime.statistics().position) == 2


async def test_an_event_can_have_several_keys_or_change_all_rows(log_url: str) -> None:
    def keys(recorded: RecordedEvent[Any]) -> list[str] | None:
        return None if recorded.event.amount == 13 else [recorded.stream_id, "c"]

    class Shared(Sums):
        key = KeyColumn("account", of=keys)

    async with Runtime([Account, Shared], store=log_url) as runtime:
        for account, amount in (("a", 1_000), ("b", 1_000), ("c", 13)):
            await open_account(runtime, account, amount)
        await runtime.query(Shared.all, after=runtime.statistics().position)
        for account in ("a", "b", "c"):
            await _spoil(runtime, Shared, account)
        assert await _repaired(runtime, repair=[Shared]) == {"Shared": 4}
        assert await runtime.query(Shared.all) == {"a": 1_000, "b": 7, "c": 13}
        await runtime.corrections.open(Selection(events=["bank.account/c/2"]), by="ann", reason="a bug", id="c-2")
        await runtime.corrections.plan("c-2", by="ann", repair=[Shared])
        await runtime.corrections.approve("c-2", by="bob")
        await runtime.corrections.apply("c-2")
        assert await runtime.query(Shared.all) == {"a": 1_000, "b": 1_000, "c": 13}


async def test_a_key_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be a name"):
        KeyColumn("account; DROP TABLE x", of=lambda recorded: recorded.stream_id)
    with pytest.raises(ConfigurationError, match="for a projection with a schema"):

        class InMemory(Projection):
            key = KeyColumn("account", of=lambda recorded: recorded.stream_id)

            @on
            def credited(self, event: Credited) -> None: ...


async def test_an_event_that_the_new_code_fails_on_is_parked_by_a_reset(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Code, "is_broken", True)
    assert await _repaired(runtime, repair=[Sums]) == {"Sums": -1}
    assert await runtime.query(Sums.all, after=runtime.statistics().position) == {}
    assert {one.stream.id for one in runtime.processors[Sums].dead_letters()} == {"a", "b", "c"}
