"""`PostgreSQLKeys`: keys in a schema of their own, beside that of the log.

The key store is synchronous and the client library is not, so one connection lives on a thread with an event loop of
its own. A call waits for that thread.

PostgreSQL never overwrites. The bytes of a destroyed key stay in the write-ahead log and in base backups until these
are removed, and in the file of the table until its space is used again. `destroy` vacuums the table to allow that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from threading import Lock, Thread
from typing import Any, TypeVar

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from actorium.store.errors import ConfigurationError, StoreUnavailable
from actorium.store.personal.keys import SubjectKey, new_key
from actorium.store.postgresql.connections.failures import unavailable
from actorium.store.postgresql.connections.options import NAME_BYTES_MAX, shown
from actorium.store.tables.dialect import quoted

T = TypeVar("T")

_TIMEOUT_S = 10.0
_COLUMNS = '(subject text COLLATE "C" PRIMARY KEY, id text NOT NULL, key bytea NOT NULL)'


class PostgreSQLKeys:
    """Keys in a PostgreSQL database; requires the extra `postgresql`.

    uri: a connection URI such as `postgresql://user@host/database`.
    schema: the schema of the database that holds the keys; it is created with the first key.
    """

    waits = True

    def __init__(self, uri: str, *, schema: str = "actorium_keys") -> None:
        if not 0 < len(schema.encode()) <= NAME_BYTES_MAX or "\0" in schema:
            raise ConfigurationError(f"schema={schema!r} must have 1 to {NAME_BYTES_MAX} bytes")
        self._uri = uri
        self._place = shown(uri, schema)
        self._schema = quoted(schema)
        self._table = f"{self._schema}.keys"
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: asyncpg.Connection[Any] | None = None

    def open(self, *, read_only: bool = False) -> None: ...

    def close(self) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None:
                asyncio.run_coroutine_threadsafe(self._disconnect(), loop).result(_TIMEOUT_S)
                loop.call_soon_threadsafe(loop.stop)

    def exists(self) -> bool:
        return bool(self._run(self._fetch("SELECT to_regclass($1) IS NOT NULL", self._table))[0][0])

    def prepare(self) -> None:
        async def create() -> None:
            connection = await self._connected()
            # Held until the connection's transaction ends: two creations at once would fail.
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", self._table)
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
                await connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} {_COLUMNS}")

        if not self.exists():
            self._run(create())

    def new(self, subject: str) -> SubjectKey:
        return new_key(subject)

    def read(self, subject: str) -> SubjectKey | None:
        try:
            found = self._run(self._fetch(f"SELECT subject, id, key FROM {self._table} WHERE subject = $1", subject))
        except _NoTable:
            return None
        return SubjectKey(*found[0]) if found else None

    def create(self, keys: Sequence[SubjectKey]) -> Sequence[SubjectKey]:
        async def insert() -> dict[str, SubjectKey]:
            connection = await self._connected()
            async with connection.transaction():
                await connection.executemany(
                    f"INSERT INTO {self._table} VALUES ($1, $2, $3) ON CONFLICT (subject) DO NOTHING",
                    [(key.subject, key.id, key.key) for key in keys],
                )
                rows = await connection.fetch(
                    f"SELECT subject, id, key FROM {self._table} WHERE subject = ANY($1)",
                    [key.subject for key in keys],
                )
            return {row[0]: SubjectKey(*row) for row in rows}

        try:
            stored = self._run(insert())
        except _NoTable as error:
            raise StoreUnavailable(str(error)) from error
        return [stored[key.subject] for key in keys]

    def destroy(self, subject: str) -> SubjectKey | None:
        try:
            found = self._run(
                self._fetch(f"DELETE FROM {self._table} WHERE subject = $1 RETURNING subject, id, key", subject)
            )
            if found:
                self._run(self._fetch(f"VACUUM {self._table}"))
        except _NoTable:
            return None
        return msgspec.structs.replace(SubjectKey(*found[0]), key=b"") if found else None

    def describe(self) -> str:
        return f"keys in postgresql {self._place}"

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            loop = self._loop
            if loop is None:
                loop = self._loop = asyncio.new_event_loop()
                Thread(target=_run_until_stopped, args=(loop,), name="actorium keys", daemon=True).start()
            try:
                return asyncio.run_coroutine_threadsafe(work, loop).result()
            except asyncpg.UndefinedTableError as error:
                raise _NoTable(f"{self.describe()} do not exist") from error
            except (OSError, EOFError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise unavailable(error, f"{self.describe()} cannot be used") from error

    async def _connected(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._uri,
                timeout=_TIMEOUT_S,
                command_timeout=_TIMEOUT_S,
                target_session_attrs=SessionAttribute.primary,
                server_settings={"application_name": "actorium keys"},
            )
        return self._connection

    async def _fetch(self, sql: str, *parameters: Any) -> list[Any]:
        connection = await self._connected()
        return list(await connection.fetch(sql, *parameters))

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _NoTable(Exception):
    """No key was ever stored."""


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
