"""The SQLite store meets the contract of every store."""

from pathlib import Path

import pytest

from actorium.store.sqlite import SQLiteStore
from actorium.testing.contract import EventStoreContract


class TestSQLiteStore(EventStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> SQLiteStore:
        return SQLiteStore(tmp_path / "log.db")
