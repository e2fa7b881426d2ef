"""The SQLite store on a simulated disk meets the contract of every store."""

import pytest

from actorium.simulation.disk import SimulatedDisk, SimulatedSqliteStore
from actorium.testing.contract import EventStoreContract


class TestSimulatedSqliteStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> SimulatedSqliteStore:
        return SimulatedSqliteStore(SimulatedDisk())
