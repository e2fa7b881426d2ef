"""What rests on memory alone is only answered while the lease holds by the process's own clock."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support.postgres import run_sql, schema_of, with_options
from support.transfers import Account, Deposit, Open

from actorium import Runtime
from actorium.errors import AlreadyExists, CommandTimeout
from actorium.store.errors import Fenced, StoreUnavailable
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.lease import Lease
from actorium.store.urls import open_store
from actorium.testing.postgresql.proxy import proxy_before

LEASE_S = "0.6"


def store_at(url: str, **options: str) -> PostgreSQLStore:
    store = open_store(with_options(url, **options))
    assert isinstance(store, PostgreSQLStore)
    return store


def lease_of(store: PostgreSQLStore) -> Lease:
    assert store._session is not None
    assert store._session.lease is not None
    return store._session.lease


@pytest.mark.asyncio
async def test_who_was_replaced_answers_no_read_and_no_refusal_from_memory(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        first = Runtime([Account], store=with_options(through, lease_s=LEASE_S))
        await first.start()
        await first.send(Open("alice"))
        assert (await first.get(Account, "alice")).balance == 0
        proxy.plan("lease", "hold request", *["lose request"] * 1_000)
        async with Runtime([Account], store=with_options(url, standby="wait")) as second:
            await second.send(Deposit("alice", 5))
            stale = [first.get(Account, "alice"), first.send(Open("alice")), first.send(Open("alice"), command_id="c")]
            answering = [asyncio.ensure_future(one) for one in stale]
            await asyncio.wait(answering, timeout=0.1)
            assert not any(one.done() and one.exception() is None for one in answering)
            proxy.faults.clear()
            proxy.release()
            for error in await asyncio.gather(*answering, return_exceptions=True):
                assert not isinstance(error, AlreadyExists), "it was decided on a state that had changed"
                assert isinstance(error, Exception)
            assert isinstance(await first.ended(), Fenced)


@pytest.mark.asyncio
async def test_a_lease_that_ran_out_is_renewed_before_an_answer(url: str) -> None:
    store = store_at(url, lease_s="60")
    async with Runtime([Account], store=store) as runtime:
        await runtime.send(Open("alice"))
        for call in (lambda: runtime.send(Open("alice")), lambda: runtime.send(Open("alice"), command_id="c")):
            lease_of(store)._held_until_s = 0.0
            with pytest.raises(AlreadyExists):
                await call()
            assert store.holds_lease, "it was renewed at once, not after a quarter of a minute"
        lease_of(store)._held_until_s = 0.0
        assert (await runtime.get(Account, "alice")).balance == 0
        assert store.holds_lease


@pytest.mark.asyncio
async def test_a_lease_is_not_held_while_its_connection_is_gone(url: str) -> None:
    name = schema_of(url)[:40]
    async with proxy_before(url) as (proxy, through):
        store = store_at(through, application_name=name, lease_s="60", patience_s="60")
        await store.open()
        assert store.holds_lease
        proxy.cut()
        while store.holds_lease:  # noqa: ASYNC110
            await asyncio.sleep(0)
        confirming = asyncio.ensure_future(store.confirm_lease())
        proxy.mend()
        await confirming
        assert store.holds_lease
        await store.close()
        assert not store.holds_lease
        with pytest.raises(StoreUnavailable, match="is closed"):
            await store.confirm_lease()


@pytest.mark.asyncio
async def test_who_waits_for_its_lease_is_told_that_the_log_is_lost_or_the_store_closed(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        store = store_at(through, lease_s="60")
        await store.open()
        proxy.plan("lease", *["lose request"] * 1_000)
        lease_of(store)._held_until_s = 0.0
        confirming = asyncio.ensure_future(store.confirm_lease())
        await proxy.met.wait()
        await store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            await confirming
    store = store_at(url, lease_s="60")
    await store.open()
    await run_sql(url, f'DELETE FROM "{schema_of(url)}".nodes')
    lease_of(store)._held_until_s = 0.0
    with pytest.raises(Fenced):
        await store.confirm_lease()
    await store.close()


@pytest.mark.asyncio
async def test_a_lease_is_counted_from_before_its_renewal_was_sent(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        store = store_at(through, lease_s="1")
        await store.open()
        proxy.plan("lease", "hold request", *["lose request"] * 1_000)
        await proxy.met.wait()
        second = store_at(url, standby="wait")
        await second.open()
        assert not store.holds_lease, "the server counts from when the renewal arrived"
        await second.close()
        proxy.release()
        await store.close()


@pytest.mark.asyncio
async def test_an_outage_of_the_server_is_logged_once_for_each_error(url: str) -> None:
    async with proxy_before(url) as (proxy, through):
        runtime = Runtime([Account], store=with_options(through, lease_s="30"))
        await runtime.start()
        await runtime.send(Open("alice"))
        for _ in range(2):
            with capture_logs() as lines:
                proxy.cut()
                with pytest.raises(CommandTimeout):
                    await runtime.send(Deposit("alice", 5), timeout_s=1)  # a hundred attempts, or so, without a pause
            for event in ("store.server_away", "store.lease_not_renewed"):
                said = [line["error"].partition(":")[0] for line in lines if line["event"] == event]
                assert said
                assert len(said) == len(set(said)), said
            proxy.mend()
            await runtime.send(Deposit("alice", 5))
        await runtime.stop()
