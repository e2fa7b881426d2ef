"""The model of a shared log keeps the contract of every store, and that of every shared one."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.shared import SharedStore
from actorium.testing import EventStoreContract, SharedStoreContract
from actorium.testing.contract_shared import Arrival
from actorium.testing.shared_model import SharedModel, SharedModelStore


class TestSharedModelStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> SharedModelStore:
        return SharedModelStore(SharedModel(time.monotonic))


class ModelLogs:
    """Stores on a model whose clock only moves when somebody is frozen: a lease never runs out by itself."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._model = SharedModel(lambda: self._now_s)
        self._stores: list[SharedModelStore] = []

    def store(self, name: str = "", *, waits: bool = False) -> SharedModelStore:
        store = SharedModelStore(self._model, name=name, waits=waits, lease_s=0.01)
        self._stores.append(store)
        return store

    async def kill(self, store: SharedStore) -> None:
        found = self._found(store)
        found.stop_renewing()
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

    def _found(self, store: SharedStore) -> SharedModelStore:
        assert isinstance(store, SharedModelStore)
        return store

    def _writer(self, store: SharedStore) -> int:
        writer = self._found(store).writer
        assert writer is not None
        return writer


class TestSharedModel(SharedStoreContract):
    @pytest.fixture
    def logs(self) -> ModelLogs:
        return ModelLogs()
