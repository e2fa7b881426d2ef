"""The tables of the log in PostgreSQL: made once, and refused if a newer Actorium made them."""

import asyncio

import pytest
from support.postgres import run_sql, schema_of

from actorium.store.errors import StoreInUse, StoreUnavailable, UnsupportedSchema
from actorium.store.event_store import SaveCheckpoint
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.postgresql.schema import MIGRATIONS, OWN_TABLES
from actorium.store.tables.own_rows import AgendaRow, ReadDue
from actorium.store.tables.shares import SHARES, share_of
from actorium.store.urls import open_store

OBJECTS = (
    "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 "
    "AND relkind IN ('r', 'S') AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i')"
)


@pytest.mark.asyncio
async def test_two_that_start_at_once_make_the_tables_once(url: str) -> None:
    stores = [open_store(url) for _ in range(4)]
    results = await asyncio.gather(*(store.open() for store in stores), return_exceptions=True)
    opened = [result is None for result in results]
    assert opened.count(True) == 1
    assert all(isinstance(result, StoreInUse) for result in results if result is not None)
    for store in stores:
        await store.close()
    assert await run_sql(url, f'SELECT schema_version FROM "{schema_of(url)}".log') == [(len(MIGRATIONS),)]


@pytest.mark.asyncio
async def test_what_the_migrations_make_is_what_users_may_not_change(url: str) -> None:
    store = open_store(url)
    await store.open()
    await store.close()
    assert {row[0] for row in await run_sql(url, OBJECTS, schema_of(url))} == OWN_TABLES


@pytest.mark.asyncio
async def test_a_newer_schema_is_refused_and_unchanged(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, PostgreSQLStore)
    await store.open()
    await store.close()
    await run_sql(url, f'UPDATE "{schema_of(url)}".log SET schema_version = 99')
    for read_only in (False, True):
        with pytest.raises(UnsupportedSchema, match="has version 99, and this Actorium reads versions up to 3: it was"):
            await store.open(read_only=read_only)
    assert await run_sql(url, f'SELECT schema_version FROM "{schema_of(url)}".log') == [(99,)]


@pytest.mark.asyncio
async def test_a_read_only_opening_makes_nothing(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, PostgreSQLStore)
    with pytest.raises(StoreUnavailable, match="holds no log: start the application that writes it first"):
        await store.open(read_only=True)
    assert await run_sql(url, "SELECT 1 FROM pg_namespace WHERE nspname = $1", schema_of(url)) == []


@pytest.mark.asyncio
async def test_rows_of_the_agenda_get_their_shares(url: str) -> None:
    rows = [AgendaRow("Tränsfer", f"{n}", "debit", "run", n) for n in range(40)]
    store = open_store(url)
    await store.open()
    await store.save([SaveCheckpoint("p", 1, changes=rows)])
    await store.close()
    schema = schema_of(url)
    await run_sql(url, f'ALTER TABLE "{schema}".agenda DROP COLUMN share')  # as version 2 left it
    await run_sql(url, f'UPDATE "{schema}".log SET schema_version = 2')
    await store.open()
    for share in range(SHARES):
        found = await store.read_rows(ReadDue(99, 99, share=share))
        assert found == [row for row in rows if share_of(row.owner, row.id) == share]
    await store.close()
