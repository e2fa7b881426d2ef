"""PostgreSQL stores for tests: each log in a schema of its own on the shared server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
from support.postgres_server import shared_server_url

_DROP_S = 10
made = [0]
"""The number of logs that this process has made."""


@contextmanager
def new_log(server: str | None = None, **options: str) -> Iterator[str]:
    """Yield the URL of a new log, and drop it afterwards."""
    schema = f"test_{uuid4().hex}"
    server = server or shared_server_url()
    made[0] += 1
    yield with_options(server, schema=schema, **options)
    asyncio.run(run_sql(server, f'DROP SCHEMA IF EXISTS "{schema}", "{schema}_keys" CASCADE'))


def with_options(url: str, **options: str) -> str:
    """Return a URL with more options."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


async def run_sql(server: str, sql: str, *parameters: Any) -> list[Any]:
    """Run a statement as another client of the server would; return its rows."""
    connection = await asyncpg.connect(server.partition("?")[0], timeout=_DROP_S)
    try:
        return list(await connection.fetch(sql, *parameters))
    finally:
        await connection.close()


def schema_of(url: str) -> str:
    """Return the schema that a URL names."""
    return url.partition("schema=")[2].partition("&")[0]
