"""The URL of a log in PostgreSQL says what the store does; each of its options has an effect."""

import asyncio
import re

import pytest
from support.postgres import run_sql, schema_of, with_options

from actorium.store.errors import ConfigurationError, StatementFailed, StoreUnavailable
from actorium.store.event_store import AppendBatch
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.urls import open_store
from actorium.testing.contract_words import ALICE, append

NOBODY_LISTENS = "postgresql://postgres@127.0.0.1:1/postgres"


def store_at(url: str, **options: str) -> PostgreSQLStore:
    store = open_store(with_options(url, **options))
    assert isinstance(store, PostgreSQLStore)
    return store


def batch_of_one() -> AppendBatch:
    return AppendBatch(1, [append(ALICE, 0)])


def test_the_description_names_the_place_and_no_password() -> None:
    text = open_store("postgresql://shop:secret@db1,db2:5433/orders?schema=eu&sslmode=require").describe()
    assert text == "postgresql db1,db2:5433/orders schema eu"
    assert open_store("postgres:///orders").describe() == "postgresql the local server/orders schema actorium"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("shema=orders", "no option 'shema'; options: schema, standby"),
        ("standby=maybe", "standby='maybe' is not one of refuse, wait"),
        ("lease_s=0", "lease_s=0.0 is not a number above 0"),
        ("patience_s=soon", "patience_s='soon' is not a valid float"),
        ("read_connections=0", "read_connections=0 is not between 1 and 1000"),
        ("query_connections=1001", "query_connections=1001 is not between"),
        ("synchronous_commit=never", "synchronous_commit='never' is not one of on, remote_apply"),
        ("schema=", "schema='' must have 1 to 63 bytes"),
        (f"schema={'x' * 64}", "must have 1 to 63 bytes"),
        ("schema=a&schema=b", "schema is given twice"),
    ],
)
def test_a_wrong_option_is_named(query: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        open_store(f"postgresql://localhost/orders?{query}")


@pytest.mark.asyncio
async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot open 127\.0\.0\.1:1/postgres schema actorium"):
        await open_store(NOBODY_LISTENS).open()


@pytest.mark.asyncio
async def test_of_several_hosts_the_one_that_answers_is_used(url: str) -> None:
    server = url.partition("@")[2]
    store = open_store(f"postgresql://postgres@127.0.0.1:1,{server}")
    await store.open()
    assert (await store.head()).position == 0
    await store.close()


@pytest.mark.asyncio
async def test_an_unknown_database_is_a_mistake_in_the_url(url: str) -> None:
    server = url.partition("?")[0].rpartition("/")[0]
    with pytest.raises(ConfigurationError, match='database "nowhere" does not exist'):
        await open_store(f"{server}/nowhere").open()


@pytest.mark.asyncio
async def test_two_schemas_are_two_logs(url: str) -> None:
    other = f"{schema_of(url)}_b"
    first, second = store_at(url), open_store(url.replace(schema_of(url), other))
    await first.open()
    await second.open()
    assert (await first.append(batch_of_one())).outcomes == [1]
    assert (await second.head()).position == 0
    assert (await second.append(batch_of_one())).outcomes == [1]
    await first.close()
    await second.close()
    await run_sql(url, f'DROP SCHEMA "{other}" CASCADE')


@pytest.mark.asyncio
async def test_connections_are_named_and_limited(url: str) -> None:
    name = schema_of(url)[:40]
    store = store_at(url, application_name=name, read_connections="1", query_connections="2")
    await store.open()
    await store.append(batch_of_one())
    await store.save([])
    await asyncio.gather(*(store.head() for _ in range(8)), *(store.query("SELECT 1", ()) for _ in range(8)))
    roles: list[str] = []
    while "watch" not in roles:  # it is opened after the first append, and nobody waits for it
        found = f"SELECT application_name FROM pg_stat_activity WHERE application_name LIKE '{name}%'"
        roles = sorted(row[0].removeprefix(f"{name} ") for row in await run_sql(url, found))
    assert roles == ["append", "lease", "query", "query", "read", "tables", "watch"]
    await store.close()


@pytest.mark.asyncio
async def test_a_query_that_takes_too_long_fails_alone(url: str) -> None:
    store = store_at(url, query_timeout_s="0.05")
    await store.open()
    with pytest.raises(StatementFailed, match="statement timeout"):
        await store.query("SELECT pg_sleep(60)", ())
    assert await store.query("SELECT 1", ()) == [(1,)]
    await store.close()


@pytest.mark.asyncio
async def test_a_cancelled_query_ends_on_the_server(url: str) -> None:
    store = store_at(url, query_connections="1")
    await store.open()
    task = asyncio.ensure_future(store.query("SELECT pg_sleep(60)", ()))
    running = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
    while not await run_sql(url, running):  # each look takes as long as a new connection
        pass
    task.cancel()
    await asyncio.wait([task])
    assert await store.query("SELECT 1", ()) == [(1,)]  # the only connection is free again
    await store.close()


@pytest.mark.asyncio
async def test_commits_have_the_timeouts_and_the_durability_of_the_url(url: str) -> None:
    store = store_at(url, statement_timeout_s="7", synchronous_commit="local")
    await store.open()
    assert store._session is not None
    names = ("statement_timeout", "synchronous_commit", "idle_in_transaction_session_timeout", "lock_timeout")
    sessions = (store._session.appender, store._session.tables)
    for session in sessions:
        found = [await session.run(lambda c, name=name: c.fetchval(f"SHOW {name}")) for name in names]
        assert found == ["7s", "local", "2s", "10s"]
    await store.close()


@pytest.mark.asyncio
async def test_unsafe_settings_of_the_server_are_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_at(url, synchronous_commit="off")
    await store.open()
    await store.close()
    told = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    for setting in ("fsync=off", "full_page_writes=off", "synchronous_commit=off"):
        assert f"setting={setting!r}" in told
    assert "fsync=off, full_page_writes=off, synchronous_commit=off: a power cut may destroy" in store.describe()
