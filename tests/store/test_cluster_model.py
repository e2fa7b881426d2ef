"""The model of a log with several nodes keeps the contracts of every store, of every shared one and of a cluster's."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.shared import SharedStore
from actorium.testing import ClusterStoreContract, EventStoreContract, SharedStoreContract
from actorium.testing.contract_shared import Arrival
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore


class TestClusterModelStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> ClusterModelStore:
        return ClusterModelStore(ClusterModel(time.monotonic))


class ClusterModelLogs:
    """Stores on a model whose clock only moves when somebody is frozen: a lease never runs out by itself."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._model = ClusterModel(lambda: self._now_s)
        self._stores: list[ClusterModelStore] = []

    def store(self, name: str = "", *, waits: bool = False) -> ClusterModelStore:
        store = ClusterModelStore(self._model, name=name, waits=waits, lease_s=0.2)
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

    def _found(self, store: SharedStore) -> ClusterModelStore:
        assert isinstance(store, ClusterModelStore)
        return store

    def _writer(self, store: SharedStore) -> int:
        writer = self._found(store).writer
        assert writer is not None
        return writer


class TestSharedClusterModel(SharedStoreContract):
    @pytest.fixture
    def logs(self) -> ClusterModelLogs:
        return ClusterModelLogs()


class TestClusterModel(ClusterStoreContract):
    @pytest.fixture
    def logs(self) -> ClusterModelLogs:
        return ClusterModelLogs()
