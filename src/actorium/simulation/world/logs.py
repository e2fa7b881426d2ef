"""`Log`: the part that survives a process of the simulated world: a model in memory, or SQLite on a simulated disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from actorium.simulation.disk.disk import PowerCut, SimulatedDisk
from actorium.simulation.disk.store import SimulatedSqliteStore
from actorium.simulation.world.surroundings import Surroundings
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore


class Log(Protocol):
    """The log that each incarnation of a node connects to."""

    def connect(self) -> EventStore:
        """Return the store of the next incarnation, not yet open."""

    def killed(self) -> None:
        """Let the process die while the machine stays up: the operating system keeps everything that was written."""

    def lost_power(self) -> None:
        """Let the machine lose power: writes that are not durable may be lost or torn."""

    def dispose(self) -> None:
        """Release the world: the run is over."""


class MemoryLog:
    """The model: whatever was committed stays permanently."""

    def __init__(self) -> None:
        self._store = MemoryStore(threads=False)

    def connect(self) -> EventStore:
        return self._store

    def killed(self) -> None:
        with suppress(StopIteration):
            self._store.close().send(None)  # it never waits

    def lost_power(self) -> None:
        self.killed()

    def dispose(self) -> None:
        pass


class DiskLog:
    """The SQLite store that ships, on its own disk; the plan can cut the power during any write or sync."""

    def __init__(self, world: Surroundings, node: str, synchronous: str) -> None:
        self._world = world
        self._node = node
        self._synchronous = synchronous
        self._cuts = 0
        self._disk = SimulatedDisk(before_write=self._before_write, before_sync=self._before_sync)

    def connect(self) -> EventStore:
        return SimulatedSqliteStore(self._disk, synchronous=self._synchronous)

    def killed(self) -> None:
        self._replace(self._disk.after_kill())

    def lost_power(self) -> None:
        self._cuts += 1
        self._replace(self._disk.after_power_cut(self._choose))

    def dispose(self) -> None:
        self._replace(SimulatedDisk())

    def _replace(self, disk: SimulatedDisk) -> None:
        """Continue with another disk; SQLite's files hold the old one where the garbage collector cannot see it."""
        self._disk.is_off = True
        self._disk.before_write = self._disk.before_sync = None
        self._disk = disk

    def _choose(self, site: str, options: int) -> int:
        return self._world.chance.bits(f"{self._node} power cut: {site}", self._cuts) % options

    def _before_write(self, name: str, offset: int, size: int) -> None:
        self._draw(f"write to {name}")

    def _before_sync(self, name: str) -> None:
        self._draw(f"sync of {name}")

    def _draw(self, what: str) -> None:
        fault = self._world.plan.draw("disk", f"{what} of {self._node}")
        if fault is not None:
            self._world.note_fault(fault, self._node)
            raise PowerCut


MakeLog = Callable[[Surroundings, str], Log]

LOGS: Mapping[str, MakeLog] = {
    "memory": lambda world, node: MemoryLog(),
    "sqlite": lambda world, node: DiskLog(world, node, "FULL"),
    "sqlite-normal": lambda world, node: DiskLog(world, node, "NORMAL"),
}
"""The stores a run can use, by the names a user gives. With the last one, a power cut may lose acknowledged commands:
it is the control, which shows that losses are detected."""


def log_named(name: str) -> MakeLog:
    """Return the factory for logs of a kind."""
    if name not in LOGS:
        raise ConfigurationError(f"there is no store {name!r} to simulate: use one of {', '.join(LOGS)}")
    return LOGS[name]
