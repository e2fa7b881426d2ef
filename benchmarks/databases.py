"""`Databases`: databases on a PostgreSQL server, one for each run.

A database that was filled once serves all rounds of a suite: the database of a run is a copy of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import psutil

from actorium.store.tables.dialect import quoted

_COPIES_FILES_FROM = 150_000
"""The version of PostgreSQL, as it numbers itself, that lets `CREATE DATABASE` choose how to copy."""


class ServerPlace(NamedTuple):
    """A server, as a suite tells its runs about it.

    url: the URL of one of its databases. The role must be allowed to create databases.
    pid: the process id of the server if this suite started it, else 0; its CPU time counts as that of the run.
    prefix: how the names of this suite's databases begin.
    """

    url: str
    pid: int
    prefix: str


class Databases:
    """The databases of one suite on one server."""

    def __init__(self, place: ServerPlace) -> None:
        self._place = place

    def url(self, name: str) -> str:
        """Return the URL of a database of this suite."""
        address, _, query = self._place.url.partition("?")
        url = f"{address.rpartition('/')[0]}/{self._place.prefix}{name}?standby=wait"
        return f"{url}&{query}" if query else url

    async def create(self, name: str, template: str = "") -> None:
        """Create a database, or replace it; with a template, as a copy of it."""
        async with _connected(self._place.url) as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {self._quoted(name)}")
            source = self._quoted(template) if template else "template0"
            can_choose = int(await connection.fetchval("SHOW server_version_num")) >= _COPIES_FILES_FROM
            how = " STRATEGY file_copy" if template and can_choose else ""
            await connection.execute(f"CREATE DATABASE {self._quoted(name)} TEMPLATE {source}{how}")

    async def exists(self, name: str) -> bool:
        """Return whether this suite has a database with this name."""
        async with _connected(self._place.url) as connection:
            name = self._place.prefix + name
            return bool(await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name))

    async def finish(self, name: str, to: str) -> None:
        """Do for a database what its server does for one that has been in use for a while, and rename it."""
        async with _connected(self.url(name)) as connection:
            await connection.execute("VACUUM (ANALYZE)")
        async with _connected(self._place.url) as connection:
            await connection.execute(f"ALTER DATABASE {self._quoted(name)} RENAME TO {self._quoted(to)}")

    async def drop_all(self) -> None:
        """Drop the databases of this suite, whoever uses them."""
        named = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
        async with _connected(self._place.url) as connection:
            for (name,) in await connection.fetch(named, self._place.prefix):
                await connection.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")

    def _quoted(self, name: str) -> str:
        return quoted(self._place.prefix + name)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    import asyncpg  # of the extra `postgresql`, which no other store needs

    connection = await asyncpg.connect(url.partition("?")[0])
    try:
        yield connection
    finally:
        await connection.close()


def server_cpu_s(pid: int) -> float:
    """Return the CPU time that a server has used so far, with all its processes, in seconds."""
    server = psutil.Process(pid)
    found = 0.0
    for process in (server, *server.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # its time is in that of its parent from now on
            continue
        found += times.user + times.system + times.children_user + times.children_system
    return found
