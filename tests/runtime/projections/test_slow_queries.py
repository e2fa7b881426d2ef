"""A slow query blocks neither the runtime nor another query, and ends at its timeout."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.bank import Add, Added, Tally
from support.runs_on import ON_SQLITE

from actorium import Projection, Reader, Runtime, Settings, Transaction, on, query
from actorium.errors import QueryTimeout, RuntimeClosed, StoreUnavailable
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

_FOR_HOURS = 10**12
_COUNT = (
    "WITH RECURSIVE number(n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < ?) "
    "SELECT count(*) FROM number"
)


class Numbers(Projection):
    schema = "CREATE TABLE numbers (n INTEGER)"

    @on
    def added(self, event: Added, tx: Transaction) -> None:
        tx.execute("INSERT INTO numbers VALUES (?)", event.amount)

    @query
    async def count(self, db: Reader, up_to: int) -> int:
        rows: Any = await db.fetch_one(_COUNT, up_to)
        return int(rows[0])

    @query
    async def total(self, db: Reader) -> int:
        rows: Any = await db.fetch_one("SELECT sum(n) FROM numbers")
        return int(rows[0])


@pytest_asyncio.fixture(params=[ON_SQLITE, "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    yield SQLiteStore(tmp_path / "log.db") if request.param == "sqlite" else MemoryStore()


@pytest.mark.asyncio
async def test_the_runtime_continues_during_a_query_that_takes_hours(store: EventStore) -> None:
    async with asyncio.timeout(30.0), Runtime([Tally, Numbers], store=store) as runtime:
        await runtime.send(Add("a", 1), wait_for=[Numbers])
        asking = asyncio.ensure_future(runtime.query(Numbers.count, _FOR_HOURS, timeout_s=3_600.0))
        timer = runtime.events(types=[Added], after=1)
        await runtime.submit(Add("a", 2), after_s=0.05)
        assert (await anext(timer)).event == Added(2)
        ack = await runtime.send(Add("a", 3), wait_for=[Numbers])
        assert await runtime.query(Numbers.total, after=ack.position) == 6
        assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


@pytest.mark.asyncio
async def test_a_query_that_takes_too_long_is_interrupted_and_makes_room_for_others(store: EventStore) -> None:
    async with (
        asyncio.timeout(30.0),
        Runtime([Tally, Numbers], store=store, settings=Settings(max_queries=1)) as runtime,
    ):
        await runtime.send(Add("a", 1), wait_for=[Numbers])
        with pytest.raises(QueryTimeout, match=r"Numbers.count did not finish within 0.1 s and was interrupted"):
            await runtime.query(Numbers.count, _FOR_HOURS, timeout_s=0.1)
        assert await runtime.query(Numbers.total) == 1


@pytest.mark.asyncio
async def test_no_more_queries_than_the_limit_run_at_a_time(store: EventStore) -> None:
    async with (
        asyncio.timeout(30.0),
        Runtime([Tally, Numbers], store=store, settings=Settings(max_queries=1)) as runtime,
    ):
        await runtime.send(Add("a", 1), wait_for=[Numbers])
        asking = asyncio.ensure_future(runtime.query(Numbers.count, _FOR_HOURS, timeout_s=1.0))
        await asyncio.sleep(0)
        with pytest.raises(QueryTimeout):
            await runtime.query(Numbers.total, timeout_s=0.1)
        with pytest.raises(QueryTimeout):
            await asking
        assert await runtime.query(Numbers.total) == 1


@pytest.mark.asyncio
async def test_a_runtime_that_stops_interrupts_its_queries(store: EventStore) -> None:
    async with asyncio.timeout(30.0):
        async with Runtime([Tally, Numbers], store=store) as runtime:
            await runtime.send(Add("a", 1), wait_for=[Numbers])
            asking = asyncio.ensure_future(runtime.query(Numbers.count, _FOR_HOURS, timeout_s=3_600.0))
            await asyncio.sleep(0)
        with pytest.raises((StoreUnavailable, RuntimeClosed)):
            await asking


@pytest.mark.asyncio
async def test_a_watch_says_that_its_query_takes_too_long(store: EventStore) -> None:
    settings = Settings(default_timeout_s=0.5)
    async with asyncio.timeout(30.0), Runtime([Tally, Numbers], store=store, settings=settings) as runtime:
        with pytest.raises(QueryTimeout):
            await anext(runtime.watch(Numbers.count, _FOR_HOURS))


@pytest.mark.asyncio
async def test_a_long_query_in_memory_sees_the_committed_data(store: EventStore) -> None:
    async with asyncio.timeout(60.0), Runtime([Tally, Numbers], store=store) as runtime:
        await runtime.send(Add("a", 1), wait_for=[Numbers])
        assert await runtime.query(Numbers.count, 500_000) == 500_000
