"""`KeyedAppends`: makes new keys durable before the events that they encrypted."""

from __future__ import annotations

from collections.abc import Awaitable

from actorium.store.event_store import AppendBatch, Appended
from actorium.store.personal.key_ring import KeyRing
from actorium.store.writers.group_commit_writer import AppendsBatches


class KeyedAppends:
    """The appends of a store, each after the new keys of a key ring are durable."""

    def __init__(self, store: AppendsBatches, keys: KeyRing) -> None:
        self._store = store
        self._keys = keys

    def append(self, batch: AppendBatch) -> Awaitable[Appended]:
        """Write a batch, as `EventStore.append` does."""
        return self._after_keys(batch) if self._keys.has_new else self._store.append(batch)

    async def _after_keys(self, batch: AppendBatch) -> Appended:
        await self._keys.persist()
        return await self._store.append(batch)
