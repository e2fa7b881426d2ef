"""Without faults, the store of a simulated process meets the contract of every store."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from actorium.simulation import Faults
from actorium.simulation.chance import Chance
from actorium.simulation.record.witness import Witness
from actorium.simulation.world.faults import FaultId, FaultPlan
from actorium.simulation.world.store import SimulatedStore, Trouble
from actorium.store.memory import MemoryStore
from actorium.testing.contract import EventStoreContract


class Undisturbed:
    """A process without faults; each operation takes one iteration of the loop."""

    is_dead = False

    def crash(self, why: str, *, power: bool = False) -> None:
        raise AssertionError(why)

    def lost(self, why: str) -> None:
        raise AssertionError(why)

    def fault_happened(self, fault: FaultId) -> None:
        raise AssertionError(str(fault))

    def mark(self) -> None: ...

    def committed(self, text: str, streams: tuple[str, ...]) -> None: ...

    def later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None: ...

    def now_s(self) -> float:
        return 0.0

    def pause(self, delay_s: float) -> Awaitable[None]:
        return asyncio.sleep(0)

    def latency_s(self, what: str) -> float:
        return 0.001


class TestSimulatedStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> SimulatedStore:
        plan = FaultPlan(Chance(0), Faults.none())
        return SimulatedStore(MemoryStore(), plan, Witness(), Undisturbed(), Trouble())
