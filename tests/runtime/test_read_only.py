"""A runtime that only reads: it follows a log that another one writes, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from support.bank import Add, Added, Tally
from support.postgres import new_log
from support.read_models import Sums, Totals
from support.runs_on import ON_SQLITE

from actorium import (
    Aggregate,
    Command,
    ConfigurationError,
    Event,
    NotFound,
    Projection,
    Retry,
    Runtime,
    Settings,
    Snapshots,
    decide,
    evolve,
    on,
    query,
    react,
)
from actorium.errors import QueryTimeout, RuntimeClosed
from actorium.store.event_store import Examinable

SOON = Settings(poll_s=0.01)
SOON_AND_ONCE = Settings(poll_s=0.01, handler_retry=Retry(attempts=1))
PARTS = [Tally, Totals, Sums]


@react(on_replay="run")
async def mail(event: Added) -> None:
    """Do nothing."""


class Unlucky(Projection):
    """Fails at an event."""

    total: int = 0

    @on
    def added(self, event: Added) -> None:
        if event.amount == 13:
            raise ValueError("bad luck")
        self.total += event.amount

    @query
    def sum(self) -> int:
        return self.total


class Count(Command):
    """Counts one more."""


class OneMore(Event):
    """One more was counted."""


class Counted(Aggregate):
    """Counts how many events it was rebuilt from."""

    snapshots = Snapshots(every=10)
    evolved: ClassVar[int] = 0
    count: int = 0

    @decide
    def add(self, command: Count) -> OneMore:
        return OneMore()

    @evolve
    def added(self, event: OneMore) -> None:
        type(self).evolved += 1
        self.count += 1


@pytest.fixture(params=[ON_SQLITE, "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new log that several processes can open."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'log.db'}"
    else:
        with new_log() as found:
            yield found


@pytest_asyncio.fixture
async def writer(url: str) -> AsyncIterator[Runtime]:
    async with Runtime(PARTS, store=url) as runtime:
        ack = await runtime.send(Add("a", 1))
        assert await runtime.query(Totals.of, "a", after=ack.position) == 1
        yield runtime


@pytest_asyncio.fixture
async def reader(url: str, writer: Runtime) -> AsyncIterator[Runtime]:
    async with Runtime([*PARTS, mail], store=url, settings=SOON, read_only=True) as runtime:
        yield runtime


@pytest.mark.asyncio
async def test_everything_that_reads_follows_the_writer(writer: Runtime, reader: Runtime) -> None:
    events = reader.events(after=1)
    watch = reader.watch(Sums.of, "a")
    assert await anext(watch) == 1
    for total in (3, 5, 7):
        ack = await writer.send(Add("a", 2))
        assert (await anext(events)).position == ack.position
        assert (await reader.get(Tally, "a")).total == total
        assert await reader.query(Sums.of, "a", after=ack.position) == total
        assert await reader.query(Totals.of, "a", after=ack.position) == total
        while await anext(watch) != total:
            pass
    assert [change.version async for change in reader.history(Tally, "a")] == [1, 2, 3, 4]
    assert (await reader.get(Tally, "a", at_version=2)).total == 3
    assert reader.statistics().position == 4
    with pytest.raises(NotFound, match=r"Tally<b> does not exist"):
        await reader.get(Tally, "b")


@pytest.mark.asyncio
async def test_a_watch_of_tables_follows_the_writer(writer: Runtime, reader: Runtime) -> None:
    watch = reader.watch(Totals.of, "a")
    assert await anext(watch) == 1
    await writer.send(Add("a", 2))
    assert await anext(watch) == 3


@pytest.mark.asyncio
async def test_whatever_would_write_is_refused(reader: Runtime) -> None:
    refused: list[Any] = [
        lambda: reader.send(Add("a", 1)),
        lambda: reader.send(Add("a", 1), command_id="c"),
        lambda: reader.send(Add("a", 1), correlation_id="f", wait_for=[Sums]),
        lambda: reader.tell(Add("a", 1)),
        lambda: reader.submit(Add("a", 1)),
        lambda: reader.submissions.get("c"),
    ]
    for call in refused:
        with pytest.raises(ConfigurationError, match=r"is not possible here: .* read_only=True; use the runtime that"):
            await call()
    with pytest.raises(ConfigurationError, match="the durable subscription 'mail' is not possible here"):
        reader.subscribe("mail")


@pytest.mark.asyncio
async def test_nothing_in_the_log_changes(url: str, writer: Runtime) -> None:
    store = writer.store
    assert isinstance(store, Examinable)
    async with Runtime([*PARTS, mail], store=url, settings=SOON, read_only=True) as reader:
        assert await reader.query(Sums.of, "a", after=1) == 1
    assert await store.load_checkpoint(f"reaction {mail.__module__}.mail") == 0
    assert (await store.head()).position == 1
    assert await writer.query(Totals.of, "a", after=1) == 1


@pytest.mark.asyncio
async def test_an_event_that_fails_here_is_parked_here_only(url: str, writer: Runtime) -> None:
    await writer.send(Add("b", 13))
    ack = await writer.send(Add("c", 4))
    async with Runtime([Tally, Unlucky], store=url, settings=SOON_AND_ONCE, read_only=True) as reader:
        assert await reader.query(Unlucky.sum, after=ack.position) == 5
        assert [letter.position for letter in reader.dead_letters.list()] == [2]
    assert await writer.store.dead_letters(None) == []


@pytest.mark.asyncio
async def test_a_state_is_read_from_its_snapshot(url: str) -> None:
    async with Runtime([Counted], store=url) as writer:
        for _ in range(25):
            await writer.send(Count("a"))
        async with Runtime([Counted], store=url, settings=SOON, read_only=True) as reader:
            Counted.evolved = 0
            assert (await reader.get(Counted, "a")).count == 25
            assert Counted.evolved == 5
            await writer.send(Count("a"))
            assert (await reader.get(Counted, "a")).count == 26


@pytest.mark.asyncio
async def test_tables_of_newer_code_are_refused(url: str, writer: Runtime) -> None:
    class Newer(Totals):
        version = 2
        projection_name = "Totals"

    await writer.stop()
    async with Runtime([Tally, Newer], store=url) as newer:
        ack = await newer.send(Add("a", 1))
        assert await newer.query(Newer.of, "a", after=ack.position) == 2
        with pytest.raises(ConfigurationError, match=r"the store holds version 2 of this projection, but the code has"):
            async with Runtime(PARTS, store=url, read_only=True):
                pass


@pytest.mark.asyncio
async def test_queries_of_tables_wait_until_a_runtime_has_made_them(url: str) -> None:
    async with Runtime([Tally], store=url) as writer:
        await writer.send(Add("a", 1))
        async with Runtime([Tally, Totals], store=url, settings=SOON, read_only=True) as reader:
            with pytest.raises(QueryTimeout):
                await reader.query(Totals.of, "a", timeout_s=0.05)
            asking = asyncio.ensure_future(reader.query(Totals.of, "a", after=1))
            await writer.stop()
            async with Runtime([Tally, Totals], store=url):
                assert await asking == 1


@pytest.mark.asyncio
async def test_a_reader_ends_its_waiters_when_it_stops(url: str, writer: Runtime) -> None:
    reader = Runtime(PARTS, store=url, read_only=True)
    await reader.start()
    reached = reader._reads.model(Totals).checkpoint.reached(2)
    events = reader.events(after=1)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await reader.stop()
    with pytest.raises(RuntimeClosed):
        await reached
    with pytest.raises(StopAsyncIteration):
        await waiting


@pytest.mark.about("memory", "it names it")
@pytest.mark.asyncio
async def test_a_log_in_memory_has_no_other_process() -> None:
    with pytest.raises(ConfigurationError, match="a log that another process writes, in SQLite or PostgreSQL"):
        Runtime([Tally], store="memory://", read_only=True)
