"""What is wrong with a URL, a server or a role is said when the store is opened, with what to do about it."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from support.postgres import new_log, run_sql, schema_of
from support.postgres_server import shared_server_url

from actorium.store.errors import ActoriumError, ConfigurationError, StoreUnavailable
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.connections import connector
from actorium.store.urls import open_store
from actorium.testing.postgresql.server import own_server

ROLE = "actorium_test_guest"


async def refusal(url: str, *, read_only: bool = False) -> ActoriumError:
    """Return the error of opening a store."""
    store = open_store(url)
    assert isinstance(store, PostgreSQLStore)
    with pytest.raises(ActoriumError) as caught:
        await store.open(read_only=read_only)
    return caught.value


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("postgresql://postgres@127.0.0.1:1/db", StoreUnavailable, "no server answers there: start PostgreSQL, or"),
        ("postgresql://postgres@nowhere.invalid/db", StoreUnavailable, "correct the name of the host in the URL"),
        ("postgresql://postgres@{server}/db?sslmode=maybe", ConfigurationError, "must be one of: .*; correct the URL"),
        ("postgresql://postgres@{server}/db?sslmode=require", StoreUnavailable, "whether sslmode in the URL fits"),
        (
            "postgresql://postgres@{server}/postgres?sslmode=verify-full&sslrootcert=/nowhere.pem",
            StoreUnavailable,
            "a file that the URL names does not exist",
        ),
        (
            "postgresql://nobody@{server}/db",
            ConfigurationError,
            '"nobody" does not exist; correct the user or the pass',
        ),
        ("postgresql://postgres@{server}/db", ConfigurationError, '"db" does not exist; create the database, or corr'),
    ],
)
@pytest.mark.asyncio
async def test_a_wrong_url_is_refused_with_advice(url: str, kind: type[ActoriumError], words: str) -> None:
    server = shared_server_url().partition("@")[2].partition("/")[0]
    error = await refusal(url.format(server=server))
    assert isinstance(error, kind)
    assert re.search(f"^cannot open .*{words}", str(error)), str(error)


@pytest.mark.asyncio
async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    error = await refusal(f"postgresql://postgres@127.0.0.1:{port}/postgres?connect_timeout_s=0.05")
    assert isinstance(error, StoreUnavailable)
    assert "nothing answers there: see whether the server, the network and the firewall work" in str(error)
    server.close()
    await server.wait_closed()


@pytest.mark.asyncio
async def test_a_wrong_password_is_refused_with_advice() -> None:
    def serve() -> Iterator[str]:
        with own_server() as server:
            yield server.url()

    serving = serve()
    url = await asyncio.to_thread(next, serving)
    await run_sql(url, "ALTER ROLE postgres PASSWORD 'right'")
    await run_sql(
        url,
        "DO $$ BEGIN EXECUTE format('COPY (SELECT ''host all all 127.0.0.1/32 scram-sha-256'') TO %L', "
        "current_setting('hba_file')); PERFORM pg_reload_conf(); END $$",
    )
    wrong, right = (url.replace("postgres@", f"postgres:{word}@") for word in ("wrong", "right"))
    error: ActoriumError | None = None
    while not isinstance(error, ConfigurationError):  # until the server has read its file again
        store = open_store(wrong)
        try:
            await store.open()
            await store.close()
        except ActoriumError as refused:
            error = refused
    assert "password authentication failed" in str(error)
    assert "correct the user or the password in the URL, or the server's pg_hba.conf" in str(error)
    assert "wrong" not in str(error), "a message shows no password"
    store = open_store(right)
    await store.open()
    await store.close()
    await asyncio.to_thread(next, serving, None)


@pytest.fixture
def guest() -> Iterator[str]:
    """A role without rights."""
    server = shared_server_url()
    asyncio.run(run_sql(server, f"DROP ROLE IF EXISTS {ROLE}"))
    asyncio.run(run_sql(server, f"CREATE ROLE {ROLE} LOGIN"))
    yield ROLE
    asyncio.run(run_sql(server, f"DROP OWNED BY {ROLE}"))
    asyncio.run(run_sql(server, f"DROP ROLE {ROLE}"))


def test_a_role_needs_rights_on_the_log(guest: str) -> None:
    with new_log() as url:
        asyncio.run(rights_are_asked_for(url, url.replace("postgres@", f"{guest}@"), f'"{schema_of(url)}"'))


async def rights_are_asked_for(url: str, as_guest: str, schema: str) -> None:
    async def asked_for(*, read_only: bool = False) -> None:
        error = await refusal(as_guest, read_only=read_only)
        assert isinstance(error, ConfigurationError)
        assert "permission denied for" in str(error)
        assert "needs the right to create a schema in the database, or must own the log's schema" in str(error)
        assert "a process that only reads needs USAGE on the schema and SELECT on its tables" in str(error)

    await asked_for()
    store = open_store(url)
    await store.open()
    await store.close()
    await asked_for()
    await asked_for(read_only=True)
    await run_sql(url, f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}")
    await asked_for(read_only=True)
    await run_sql(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {ROLE}")
    await asked_for()
    reader = open_store(as_guest)
    assert isinstance(reader, PostgreSQLStore)
    await reader.open(read_only=True)
    assert (await reader.head()).position == 0
    await reader.close()


@pytest.mark.asyncio
async def test_an_old_server_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "_OLDEST", 99)
    error = await refusal(url)
    assert isinstance(error, ConfigurationError)
    assert "but Actorium needs 99 or newer: upgrade the server" in str(error)


@pytest.mark.asyncio
async def test_reading_a_log_that_is_not_there_is_unavailable(url: str) -> None:
    error = await refusal(url, read_only=True)
    assert isinstance(error, StoreUnavailable)
    assert "holds no log: start the application that writes it first" in str(error)
