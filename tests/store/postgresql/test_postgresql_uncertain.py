"""A commit whose connection breaks: the store finds out what became of it, and callers see only time pass."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from support.postgres import run_sql, schema_of, with_options

from actorium.store.errors import CommitUnknown, Fenced, StoreUnavailable
from actorium.store.event_store import Append, AppendBatch, SaveCheckpoint
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.checkpoints import Saving, _Mark
from actorium.store.urls import open_store
from actorium.testing.contract_words import ALICE, BOB, append, versions
from actorium.testing.postgresql.proxy import Fault, Proxy, proxy_before

PATIENCE_S = 0.4


class Cuttable:
    """An open store that reaches its server by way of a proxy."""

    def __init__(self, store: PostgreSQLStore, proxy: Proxy, url: str) -> None:
        self.store = store
        self.proxy = proxy
        self.url = url
        self.name = schema_of(url)[:40]  # of its connections

    async def append(self, *appends: Append) -> list[object]:
        return list((await self.store.append(AppendBatch(1, appends))).outcomes)


@pytest_asyncio.fixture
async def cuttable(url: str) -> AsyncIterator[Cuttable]:
    """A store behind a proxy, whose first statements are prepared: each append is one message now."""
    async with proxy_before(url) as (proxy, through):
        name = schema_of(url)[:40]
        store = open_store(with_options(through, patience_s="20", lease_s="60", application_name=name))
        assert isinstance(store, PostgreSQLStore)
        await store.open()
        found = Cuttable(store, proxy, url)
        assert await found.append(append(BOB, 0)) == [1]
        assert await found.append(append(BOB, 1)) == [2]
        await store.save([SaveCheckpoint("p", 1, [("CREATE TABLE sums (total bigint)", ())])])
        await store.save([SaveCheckpoint("p", 2, [("INSERT INTO sums VALUES (0)", ())])])
        yield found
        proxy.mend()
        await store.close()


@pytest.mark.parametrize("fault", ["lose request", "lose answer"])
@pytest.mark.asyncio
async def test_an_append_whose_connection_breaks_is_written_once(cuttable: Cuttable, fault: Fault) -> None:
    cuttable.proxy.plan("append", fault)
    assert await cuttable.append(append(ALICE, 0, 2, command="c"), append(BOB, 2)) == [3, 5]
    assert await cuttable.append(append(ALICE, 2)) == [6]
    assert await versions(cuttable.store, ALICE) == [1, 2, 3]
    assert [record.position for record in await cuttable.store.read_log(0, 10)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("towards_server", [True, False])
@pytest.mark.asyncio
async def test_an_append_on_a_half_closed_connection_is_written_once(cuttable: Cuttable, towards_server: bool) -> None:
    for version in range(5):
        running = asyncio.ensure_future(cuttable.append(append(ALICE, version, command=f"c{version}")))
        await asyncio.sleep(0)
        cuttable.proxy.half_close(towards_server=towards_server)
        assert await running == [3 + version]
    assert await versions(cuttable.store, ALICE) == [1, 2, 3, 4, 5]


@pytest.mark.asyncio
async def test_an_append_that_is_held_or_slow_is_written_once(cuttable: Cuttable) -> None:
    cuttable.proxy.hold()
    running = asyncio.ensure_future(cuttable.append(append(ALICE, 0, command="c")))
    assert await run_sql(cuttable.url, f'SELECT position FROM "{schema_of(cuttable.url)}".log') == [(2,)]
    assert not running.done()
    cuttable.proxy.let_go()
    assert await running == [3]
    cuttable.proxy.delay_s = 0.02
    assert await cuttable.append(append(ALICE, 1)) == [4]
    assert await versions(cuttable.store, ALICE) == [1, 2]


@pytest.mark.asyncio
async def test_an_append_that_breaks_again_and_again_is_written_once(cuttable: Cuttable) -> None:
    cuttable.proxy.plan("append", "lose answer", "lose answer", "lose request", "lose answer", "lose request")
    assert await cuttable.append(append(ALICE, 0, command="c")) == [3]
    assert await versions(cuttable.store, ALICE) == [1]


@pytest.mark.asyncio
async def test_a_server_that_is_silent_for_too_long_is_left(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        limits = {"connect_timeout_s": "0.2", "statement_timeout_s": "0.2"}
        store = open_store(with_options(through, patience_s="20", lease_s="60", application_name="silent", **limits))
        await store.open()
        assert isinstance(store, PostgreSQLStore)
        await store.append(AppendBatch(1, [append(BOB, 0)]))
        assert store._session is not None
        connection, left = store._session.appender._connection, asyncio.Event()
        assert connection is not None
        connection.add_termination_listener(lambda _: left.set())
        proxy.hold()
        running = asyncio.ensure_future(store.append(AppendBatch(1, [append(ALICE, 0, command="c")])))
        async with asyncio.timeout(20):
            await left.wait()
        proxy.let_go()
        assert (await running).outcomes == [2]
        await store.close()


@pytest.mark.asyncio
async def test_a_statement_that_arrives_late_writes_nothing(cuttable: Cuttable) -> None:
    cuttable.proxy.plan("append", "hold request")
    assert await cuttable.append(append(ALICE, 0)) == [3]
    cuttable.proxy.release()
    assert await cuttable.append(append(BOB, 2)) == [4]
    assert [record.position for record in await cuttable.store.read_log(0, 10)] == [1, 2, 3, 4]
    assert await versions(cuttable.store, ALICE) == [1]


@pytest.mark.parametrize("fault", ["lose request", "lose answer"])
@pytest.mark.parametrize("message", range(5))
@pytest.mark.asyncio
async def test_a_checkpoint_whose_connection_breaks_is_written_once(
    cuttable: Cuttable, fault: Fault, message: int
) -> None:
    # BEGIN, the hold of the node, the savepoint, the statements, and so on up to COMMIT.
    passing: list[Fault] = ["none"] * message
    cuttable.proxy.plan("tables", *passing, fault)
    add = SaveCheckpoint("p", 3, [("UPDATE sums SET total = total + 1", ())])
    assert await cuttable.store.save([add]) == {}
    assert await cuttable.store.query("SELECT total FROM sums", ()) == [(1,)]
    assert await cuttable.store.load_checkpoint("p") == 3


@pytest.mark.asyncio
async def test_a_checkpoint_is_written_although_another_transaction_got_the_id_of_the_lost_one(
    cuttable: Cuttable,
) -> None:
    """A server that crashed before it flushed a commit gives the transaction's id to the next one."""
    session, lease = cuttable.store._session, cuttable.store._require_lease()
    assert session is not None
    add = SaveCheckpoint("p", 3, [("UPDATE sums SET total = total + 1", ())])
    saving = Saving([add], lease.require().node, session.batches)
    ((other,),) = await run_sql(cuttable.url, "SELECT pg_current_xact_id()::text")
    saving._transaction_id, saving._mark = other, _Mark("p", other)
    assert await session.tables.run(saving.attempt) == {}
    assert await cuttable.store.load_checkpoint("p") == 3
    assert await cuttable.store.query("SELECT total FROM sums", ()) == [(1,)]


@pytest.mark.asyncio
async def test_after_the_patience_an_append_that_was_sent_is_unknown(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        store = open_store(with_options(through, patience_s=str(PATIENCE_S), lease_s="60"))
        await store.open()
        await store.append(AppendBatch(1, [append(ALICE, 0)]))
        await store.append(AppendBatch(1, [append(ALICE, 1)]))
        proxy.plan("append", "lose answer")
        running = asyncio.ensure_future(store.append(AppendBatch(1, [append(BOB, 0, command="c")])))
        await proxy.met.wait()
        proxy.cut()
        with pytest.raises(CommitUnknown, match=r"it is unknown whether it was written: .*; send its commands again"):
            await running
        with pytest.raises(StoreUnavailable, match="did not accept a commit"):
            await store.save([SaveCheckpoint("p", 1)])
        proxy.mend()
        # The next append finds out what became of the last one before it writes.
        assert (await store.append(AppendBatch(1, [append(ALICE, 2)]))).outcomes == [4]
        assert await versions(store, BOB) == [1]
        await store.close()


@pytest.mark.asyncio
async def test_an_append_that_was_never_sent_is_unavailable(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        store = open_store(with_options(through, patience_s=str(PATIENCE_S), lease_s="60"))
        await store.open()
        proxy.cut()
        with pytest.raises(StoreUnavailable, match="did not accept a commit"):
            await store.append(AppendBatch(1, [append(ALICE, 0)]))
        proxy.mend()
        assert (await store.append(AppendBatch(1, [append(ALICE, 0)]))).outcomes == [1]
        await store.close()


@pytest.mark.asyncio
async def test_a_killed_backend_costs_time_only(cuttable: Cuttable) -> None:
    writing = f"application_name IN ('{cuttable.name} append', '{cuttable.name} tables')"
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {writing}"
    for version in range(20):
        running = asyncio.ensure_future(cuttable.append(append(ALICE, version, command=f"c{version}")))
        saving = asyncio.ensure_future(
            cuttable.store.save([SaveCheckpoint("p", version, [("UPDATE sums SET total = total + 1", ())])])
        )
        await run_sql(cuttable.url, kill)
        assert await running == [version + 3]
        assert await saving == {}
    assert await versions(cuttable.store, ALICE) == list(range(1, 21))
    assert await cuttable.store.query("SELECT total FROM sums", ()) == [(20,)]


@pytest.mark.asyncio
async def test_a_server_that_lost_acknowledged_events_is_refused(cuttable: Cuttable) -> None:
    schema = schema_of(cuttable.url)
    await run_sql(cuttable.url, f'DELETE FROM "{schema}".events WHERE position > 1')
    await run_sql(cuttable.url, f'UPDATE "{schema}".log SET position = 1')
    cuttable.proxy.plan("append", "lose request")
    with pytest.raises(Fenced, match="ends at position 1, but position 2 was acknowledged: this server lacks"):
        await cuttable.append(append(ALICE, 0))
    with pytest.raises(Fenced):
        await cuttable.store.head()
    assert await run_sql(cuttable.url, f'SELECT position FROM "{schema}".log') == [(1,)]


@pytest.mark.asyncio
async def test_a_new_connection_may_be_overtaken_by_an_append(cuttable: Cuttable) -> None:
    connector = cuttable.store._connector

    class Overtaken(asyncpg.Connection):  # the end of the log is read, then an append returns
        async def fetchval(self, query: str, *parameters: object, **options: object) -> object:
            position = await super().fetchval(query, *parameters)
            assert await cuttable.append(append(ALICE, 0)) == [position + 1]
            return position

    connection = await asyncpg.connect(
        cuttable.url.partition("?")[0],
        connection_class=Overtaken,
        server_settings={"search_path": schema_of(cuttable.url)},
    )
    try:
        await connector._refuse_shortened(connection)
    finally:
        await connection.close()
    assert connector.acknowledged == 3
