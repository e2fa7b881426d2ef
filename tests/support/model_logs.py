"""`ModelLogs`: what the contracts of shared stores need of a model."""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.shared import SharedStore
from actorium.testing.contract_shared import Arrival
from actorium.testing.shared_model import SharedModel, SharedModelStore

M = TypeVar("M", bound=SharedModel)
S = TypeVar("S", bound=SharedModelStore)


class ModelLogs(Generic[M, S]):
    """Stores on a model whose clock only moves when somebody is frozen: a lease never runs out by itself."""

    def __init__(self, model: type[M], store: type[S], lease_s: float) -> None:
        self._now_s = 0.0
        self._lease_s = lease_s
        self._model = model(lambda: self._now_s)
        self._store = store
        self._stores: list[S] = []

    def store(self, name: str = "", *, waits: bool = False) -> S:
        store = self._store(self._model, name=name, waits=waits, lease_s=self._lease_s)
        self._stores.append(store)
        return store

    async def kill(self, store: SharedStore) -> None:
        self._found(store).stop_renewing()
        self._model.end_session(self._writer(store))

    async def freeze(self, store: SharedStore) -> None:
        self._found(store).stop_renewing()
        self._now_s += 1.0

    async def sent(self, store: SharedStore, batch: AppendBatch) -> Arrival:
        writer = self._writer(store)
        return lambda: self._model.append(writer, batch)

    async def sent_save(self, store: SharedStore, checkpoints: Sequence[SaveCheckpoint]) -> Arrival:
        writer = self._writer(store)
        return lambda: self._model.save(writer, checkpoints)

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self._stores))

    def _found(self, store: SharedStore) -> S:
        assert isinstance(store, self._store)
        return store

    def _writer(self, store: SharedStore) -> int:
        writer = self._found(store).writer
        assert writer is not None
        return writer
