"""Stores on one log of a real PostgreSQL server, and how they fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from support.postgres import run_sql, schema_of, with_options

from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.postgresql import PostgreSQLNodeStore
from actorium.store.postgresql.appender import Appender
from actorium.store.postgresql.checkpoints import Saving
from actorium.store.postgresql.connections.sessions import Connection, Session
from actorium.store.postgresql.lease import Lease
from actorium.store.postgresql.ownership import Ownership
from actorium.store.postgresql.statement_batches import StatementBatches
from actorium.store.shared import SharedStore
from actorium.store.urls import open_store
from actorium.testing.contract_shared import Arrival

LEASE_S = "60"
"""So long that a busy machine never lets one run out; who is frozen has it cut short in the table."""


class PostgreSQLLogs:
    """Stores on one schema of a real server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stores: list[PostgreSQLNodeStore] = []

    def store(self, name: str = "", *, waits: bool = False) -> PostgreSQLNodeStore:
        number = len(self._stores)
        options = {"lease_s": LEASE_S, "application_name": self._application(number)}
        options |= {"name": name.replace(" ", "%20")} if name else {}
        options |= {"standby": "wait"} if waits else {}
        store = open_store(with_options(self._url, **options))
        assert isinstance(store, PostgreSQLNodeStore)
        self._stores.append(store)
        return store

    async def kill(self, store: SharedStore) -> None:
        await self._stop_renewing(store)
        name = self._application(self._stores.index(self._found(store)))
        ended = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{name} lease'"
        await run_sql(self._url, ended)

    async def freeze(self, store: SharedStore) -> None:
        await self._stop_renewing(store)
        await run_sql(self._url, f'UPDATE "{schema_of(self._url)}".nodes SET expires = clock_timestamp()')

    async def sent(self, store: SharedStore, batch: AppendBatch) -> Arrival:
        writer = self._owned(store).writer
        return self._arrival(store, lambda connection: Appender(silence_s=30.0).append(connection, batch, writer))

    async def sent_save(self, store: SharedStore, checkpoints: Sequence[SaveCheckpoint]) -> Arrival:
        return self._arrival(store, Saving(checkpoints, self._owned(store).node, StatementBatches()).attempt)

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self._stores))

    def _application(self, number: int) -> str:
        return f"{schema_of(self._url)[:30]} {number}".replace(" ", "_")

    def _arrival(self, store: SharedStore, work: Callable[[Connection], Awaitable[Any]]) -> Arrival:
        connect = self._found(store)._connector.for_role("append")

        async def arrive() -> Any:
            session = Session(connect)
            try:
                return await session.run(work)
            finally:
                await session.close()

        return arrive

    async def _stop_renewing(self, store: SharedStore) -> None:
        renewing = self._lease(store)._renewing
        if renewing is not None:  # a node renews its lease itself
            renewing.cancel()
            await asyncio.wait([renewing])

    def _owned(self, store: SharedStore) -> Ownership:
        return self._lease(store).require()

    def _lease(self, store: SharedStore) -> Lease:
        session = self._found(store)._session
        assert session is not None
        assert session.lease is not None
        return session.lease

    def _found(self, store: SharedStore) -> PostgreSQLNodeStore:
        assert isinstance(store, PostgreSQLNodeStore)
        return store
