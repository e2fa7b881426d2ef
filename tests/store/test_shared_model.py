"""The model of a shared log keeps the contract of every store, and that of every shared one."""

import time

import pytest
from support.model_logs import ModelLogs

from actorium.testing import EventStoreContract, SharedStoreContract
from actorium.testing.shared_model import SharedModel, SharedModelStore


class TestSharedModelStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> SharedModelStore:
        return SharedModelStore(SharedModel(time.monotonic))


class TestSharedModel(SharedStoreContract):
    @pytest.fixture
    def logs(self) -> ModelLogs[SharedModel, SharedModelStore]:
        return ModelLogs(SharedModel, SharedModelStore, lease_s=0.01)
