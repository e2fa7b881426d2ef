"""The model of a log with several nodes keeps the contracts of every store, of every shared one and of a cluster's."""

import time

import pytest
from support.model_logs import ModelLogs

from actorium.testing import ClusterStoreContract, EventStoreContract, SharedStoreContract
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore

Logs = ModelLogs[ClusterModel, ClusterModelStore]


class TestClusterModelStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> ClusterModelStore:
        return ClusterModelStore(ClusterModel(time.monotonic))


class TestSharedClusterModel(SharedStoreContract):
    @pytest.fixture
    def logs(self) -> Logs:
        return ModelLogs(ClusterModel, ClusterModelStore, lease_s=0.2)


class TestClusterModel(ClusterStoreContract):
    @pytest.fixture
    def logs(self) -> Logs:
        return ModelLogs(ClusterModel, ClusterModelStore, lease_s=0.2)
