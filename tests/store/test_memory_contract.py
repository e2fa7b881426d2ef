"""The memory store meets the contract of every store."""

import pytest

from actorium.store.memory import MemoryStore
from actorium.testing.contract import EventStoreContract


class TestMemoryStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
