"""The PostgreSQL store keeps the contract of every store."""

import pytest

from actorium import EventStore
from actorium.store.urls import open_store
from actorium.testing.contract import EventStoreContract


class TestPostgreSQLStore(EventStoreContract):
    @pytest.fixture
    def store(self, url: str) -> EventStore:
        return open_store(url)
