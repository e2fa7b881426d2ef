"""Another process hears that the log has grown; if no hint reaches it, it looks by itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.postgres import run_sql, schema_of, with_options

from actorium.store.errors import StoreUnavailable
from actorium.store.event_store import AppendBatch
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.urls import open_store
from actorium.testing.contract_words import ALICE, append
from actorium.testing.postgresql.proxy import proxy_before

NEVER_S, SOON_S = 1e6, 0.02


@pytest_asyncio.fixture
async def beside(url: str, opened: PostgreSQLStore) -> AsyncIterator[PostgreSQLStore]:
    """A store that reads the log of `opened`."""
    store = open_store(with_options(url, application_name=schema_of(url)[:40]))
    assert isinstance(store, PostgreSQLStore)
    await store.open(read_only=True)
    yield store
    await store.close()


async def write(store: PostgreSQLStore, version: int) -> None:
    await store.append(AppendBatch(1, [append(ALICE, version)]))


@pytest.mark.asyncio
async def test_each_append_wakes_those_who_watch(opened: PostgreSQLStore, beside: PostgreSQLStore) -> None:
    for version in range(20):
        watching = asyncio.ensure_future(beside.watch(version, NEVER_S))
        await write(opened, version)
        assert (await watching).position == version + 1


@pytest.mark.asyncio
async def test_a_hint_follows_the_last_append(opened: PostgreSQLStore, beside: PostgreSQLStore) -> None:
    watching = asyncio.ensure_future(beside.watch(49, NEVER_S))
    for version in range(50):
        await write(opened, version)
    assert (await watching).position == 50


@pytest.mark.asyncio
async def test_a_hint_says_where_the_log_ends(url: str, opened: PostgreSQLStore, beside: PostgreSQLStore) -> None:
    async def statements() -> list[object]:
        last = "SELECT query_start FROM pg_stat_activity WHERE application_name = $1"
        return [*await run_sql(url, last, f"{schema_of(url)[:40]} watch")]

    assert (await beside.watch(-1, NEVER_S)).position == 0
    before = await statements()
    watching = asyncio.ensure_future(beside.watch(0, NEVER_S))
    await write(opened, 0)
    assert await watching == await opened.head()
    assert await statements() == before


@pytest.mark.asyncio
@pytest.mark.parametrize("hint", ["", "7 7 another_schema"])
async def test_any_other_hint_lets_them_look(
    url: str, opened: PostgreSQLStore, beside: PostgreSQLStore, hint: str
) -> None:
    assert (await beside.watch(-1, NEVER_S)).position == 0
    await opened.append(AppendBatch(1, [append(ALICE, 0), append(ALICE, 1)]))
    assert (await beside.watch(0, NEVER_S)).position == 2
    session = beside._session
    assert session is not None
    watching = asyncio.ensure_future(beside.watch(2, NEVER_S))
    await asyncio.sleep(0)
    await run_sql(url, f"UPDATE {schema_of(url)}.log SET position = 3")  # as an append whose hint is lost
    await run_sql(url, "SELECT pg_notify($1, $2)", session.growth._channel, hint)
    assert (await watching).position == 3


@pytest.mark.asyncio
async def test_several_watch_one_log(opened: PostgreSQLStore, beside: PostgreSQLStore) -> None:
    watching = [asyncio.ensure_future(beside.watch(0, NEVER_S)) for _ in range(5)]
    await write(opened, 0)
    assert {end.position for end in await asyncio.gather(*watching)} == {1}


@pytest.mark.asyncio
async def test_hints_that_are_lost_only_cost_time(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        writer, beside = open_store(through), open_store(url)
        assert isinstance(writer, PostgreSQLStore)
        assert isinstance(beside, PostgreSQLStore)
        await writer.open()
        await beside.open(read_only=True)
        proxy.plan("watch", *["lose request"] * 1_000)
        for version in range(5):
            await write(writer, version)
            assert (await beside.watch(version, SOON_S)).position == version + 1
        await proxy.met.wait()  # a hint was lost
        await beside.close()
        await writer.close()


@pytest.mark.asyncio
async def test_who_watches_listens_again_after_its_connection_broke(
    url: str, opened: PostgreSQLStore, beside: PostgreSQLStore
) -> None:
    name = f"{schema_of(url)[:40]} watch"
    watching = asyncio.ensure_future(beside.watch(0, NEVER_S))
    while not await run_sql(url, "SELECT FROM pg_stat_activity WHERE application_name = $1", name):
        pass
    await run_sql(url, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1", name)
    await write(opened, 0)
    assert (await watching).position == 1


@pytest.mark.asyncio
async def test_watching_ends_when_the_store_is_closed(opened: PostgreSQLStore, beside: PostgreSQLStore) -> None:
    watching = asyncio.ensure_future(beside.watch(0, NEVER_S))
    await asyncio.sleep(0)
    await beside.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        await watching


@pytest.mark.asyncio
async def test_a_burst_of_appends_sends_few_hints(url: str, opened: PostgreSQLStore, beside: PostgreSQLStore) -> None:
    heard: list[object] = []
    session = beside._session
    assert session is not None
    growth = session.growth
    await growth.session.run(growth.look)
    await growth.session.run(lambda c: c.add_listener(growth._channel, lambda *hint: heard.append(hint)))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for version in range(100):
        await write(opened, version)
    assert (await beside.watch(99, NEVER_S)).position == 100
    assert len(heard) <= 2 + (loop.time() - began_s) / 0.01
