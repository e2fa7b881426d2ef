"""One runtime writes the log; others are refused, or stand by and take over. Who was fenced writes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from support.postgres import run_sql, schema_of, with_options
from support.transfers import Account, Deposit, Open

from actorium import Runtime
from actorium.runtime.errors import RuntimeClosed
from actorium.store.errors import ConfigurationError, Fenced, StoreInUse
from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.urls import open_store
from actorium.testing.contract_words import ALICE, BOB, append, versions
from actorium.testing.postgresql.proxy import proxy_before

LEASE = {"lease_s": "0.6"}


def store_at(url: str, **options: str) -> PostgreSQLStore:
    store = open_store(with_options(url, **options))
    assert isinstance(store, PostgreSQLStore)
    return store


async def write(store: PostgreSQLStore, *versions: int) -> None:
    for version in versions:
        outcomes = (await store.append(AppendBatch(1, [append(ALICE, version)]))).outcomes
        assert isinstance(outcomes[0], int)


@asynccontextmanager
async def frozen_holder(url: str) -> AsyncIterator[tuple[PostgreSQLStore, PostgreSQLStore]]:
    """A store that holds the log, and whose lease is not renewed any more, as if its process were stopped.

    The second store is not open yet, and would stand by.
    """
    first, second = store_at(url, name="first", **LEASE), store_at(url, standby="wait")
    try:
        await first.open()
        await write(first, 0)
        assert first._session is not None
        assert first._session.lease is not None
        renewing = first._session.lease._renewing
        assert renewing is not None
        renewing.cancel()
        yield first, second
    finally:
        await first.close()
        await second.close()


@pytest.mark.asyncio
async def test_a_second_runtime_is_refused_with_the_name_of_the_first(url: str) -> None:
    first, second = store_at(url, name="kitchen"), store_at(url)
    await first.open()
    with pytest.raises(StoreInUse, match=r"is in use by kitchen: stop what runs there, or let this runtime wait"):
        await second.open()
    await write(first, 0)
    await first.close()
    await second.open()
    await write(second, 1)
    with pytest.raises(StoreInUse, match=r"is in use by \S+ pid \d+: stop"):
        await first.open()
    await second.close()


@pytest.mark.asyncio
async def test_a_read_only_opening_reads_beside_the_runtime_and_writes_nothing(url: str) -> None:
    first, beside = store_at(url), store_at(url)
    await first.open()
    await write(first, 0)
    await beside.open(read_only=True)
    assert await beside.damage() == []
    await write(first, 1)
    assert await versions(beside, ALICE) == [1, 2]
    for call in (beside.append(AppendBatch(1)), beside.save([]), beside.until_lost()):
        with pytest.raises(ConfigurationError, match="was opened read-only"):
            await call
    await beside.close()
    await write(first, 2)
    await first.close()


@pytest.mark.asyncio
async def test_who_stands_by_takes_over_when_the_first_stops(url: str) -> None:
    first, second = store_at(url), store_at(url, standby="wait")
    await first.open()
    opening = asyncio.ensure_future(second.open())
    await write(first, 0)
    assert not opening.done()
    await first.close()
    await opening
    await write(second, 1)
    assert await versions(second, ALICE) == [1, 2]
    await second.close()


@pytest.mark.asyncio
async def test_who_stands_by_waits_for_a_server_that_is_away(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        first, second = store_at(url), store_at(through, standby="wait", application_name=schema_of(url)[:40])
        await first.open()
        proxy.cut()
        opening = asyncio.ensure_future(second.open())
        await write(first, 0)
        proxy.mend()
        there = "SELECT FROM pg_stat_activity WHERE application_name = $1"
        while not await run_sql(url, there, f"{schema_of(url)[:40]} lease"):
            assert not opening.done()
        proxy.cut()
        await write(first, 1)
        assert not opening.done()
        proxy.mend()
        await first.close()
        await opening
        await write(second, 2)
        await second.close()


@pytest.mark.asyncio
async def test_who_stands_by_can_be_told_to_stop(url: str) -> None:
    first, second = store_at(url), store_at(url, standby="wait")
    await first.open()
    opening = asyncio.ensure_future(second.open())
    await write(first, 0)
    opening.cancel()
    await asyncio.wait([opening])
    await write(first, 1)
    await first.close()
    await second.open()
    await second.close()


@pytest.mark.asyncio
async def test_a_runtime_that_stands_by_stops_without_waiting_for_the_log(url: str) -> None:
    async with Runtime([Account], store=url) as first:
        second = Runtime([Account], store=with_options(url, standby="wait"))
        starting = asyncio.ensure_future(second.start())
        await first.send(Open("alice"))
        assert not starting.done()
        await second.stop()  # raised StoreHangs when it waited for the log
        with pytest.raises(RuntimeClosed, match="was stopped before it had opened its log"):
            await starting
        third = Runtime([Account], store=with_options(url, standby="wait"))
        starting = asyncio.ensure_future(third.start())
        await first.send(Deposit("alice", 5))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting


@pytest.mark.asyncio
async def test_a_lease_that_runs_out_is_taken_over_and_its_holder_writes_nothing(url: str) -> None:
    async with frozen_holder(url) as (first, second):
        await second.open()
        refusals: list[Fenced] = []
        for _ in range(2):
            with pytest.raises(Fenced, match=r"lost the log to another runtime"):
                await first.append(AppendBatch(1, [append(ALICE, 1)]))
            with pytest.raises(Fenced):
                await first.save([SaveCheckpoint("p", 9)])
            with pytest.raises(Fenced) as refused:
                await first.read_log(0, 1)
            refusals.append(refused.value)
        assert refusals[0] is not refusals[1], "the traceback of one error would grow with each refusal"
        assert isinstance(await asyncio.wait_for(first_lost(first), 5), Fenced)
        assert (await second.append(AppendBatch(1, [append(ALICE, 1)]))).outcomes == [2]
        assert await second.load_checkpoint("p") == 0


async def first_lost(store: PostgreSQLStore) -> Fenced:
    assert store._session is not None
    assert store._session.lease is not None
    return await store._session.lease.until_lost()


@pytest.mark.asyncio
async def test_a_checkpoint_of_a_fenced_holder_is_not_written(url: str) -> None:
    async with frozen_holder(url) as (first, second):
        await second.open()
        with pytest.raises(Fenced, match="no checkpoint was written"):
            await first.save([SaveCheckpoint("p", 9)])
        assert await second.load_checkpoint("p") == 0


@pytest.mark.asyncio
async def test_a_save_that_stands_still_does_not_keep_the_log(url: str) -> None:
    async with frozen_holder(url) as (first, second):
        # As a frozen process holds it in the middle of a save, in a state for which the server has no time limit.
        save, ended = await asyncpg.connect(url.partition("?")[0]), asyncio.Event()
        save.add_termination_listener(lambda _: ended.set())
        try:
            await save.execute("BEGIN")
            await save.execute(f'SELECT FROM "{schema_of(url)}".nodes FOR KEY SHARE')
            await second.open()
            await asyncio.wait_for(ended.wait(), 5)  # the server ended it, and told its client
        finally:
            save.terminate()
        with pytest.raises(Fenced):
            await first.save([SaveCheckpoint("p", 9)])
        await write(second, 1)


@pytest.mark.asyncio
async def test_a_broken_connection_of_the_lease_costs_nobody_the_log(url: str) -> None:
    name = schema_of(url)[:40]
    first, second = store_at(url, application_name=name, lease_s="20"), store_at(url)
    await first.open()
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name} lease'"
    await run_sql(url, kill)
    with pytest.raises(StoreInUse):
        await second.open()
    await write(first, 0)
    await first.close()


@pytest.mark.asyncio
async def test_a_holder_that_was_cut_off_gives_way_and_is_told_when_it_returns(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        first = store_at(through, patience_s="20", **LEASE)
        await first.open()
        await write(first, 0)
        proxy.cut()
        second = store_at(url, standby="wait")
        await second.open()
        await write(second, 1)
        writing = asyncio.ensure_future(first.append(AppendBatch(1, [append(BOB, 0)])))
        await asyncio.sleep(0)
        proxy.mend()
        with pytest.raises(Fenced):
            await writing
        assert isinstance(await asyncio.wait_for(first_lost(first), 5), Fenced)
        assert await versions(second, BOB) == []
        await first.close()
        await second.close()


@pytest.mark.asyncio
async def test_a_runtime_that_is_fenced_ends_and_may_stand_by(url: str) -> None:
    settings = with_options(url, standby="wait", **LEASE)
    first = Runtime([Account], store=settings)
    await first.start()
    await first.send(Open("alice"))
    assert isinstance(first.store, PostgreSQLStore)
    assert first.store._session is not None
    assert first.store._session.lease is not None
    renewing = first.store._session.lease._renewing
    assert renewing is not None
    renewing.cancel()
    async with Runtime([Account], store=settings) as second:
        with pytest.raises((StoreInUse, RuntimeClosed)):
            await first.send(Deposit("alice", 1))
        assert isinstance(await asyncio.wait_for(first.ended(), 5), Fenced)
        with pytest.raises(RuntimeClosed, match="is stopping or has stopped"):
            await first.get(Account, "alice")
        await second.send(Deposit("alice", 5))
        third = Runtime([Account], store=settings)
        starting = asyncio.ensure_future(third.start())
        await second.send(Deposit("alice", 5))
        assert not starting.done()
    await starting
    assert (await third.get(Account, "alice")).balance == 10
    await third.stop()
