"""`Log`: the part that survives a process of the simulated world: a model in memory, a model that processes
share, or SQLite on a simulated disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from actorium.runtime.cluster.shards import shard_of
from actorium.simulation.disk.disk import PowerCut, SimulatedDisk
from actorium.simulation.disk.store import SimulatedSqliteStore
from actorium.simulation.world.surroundings import Surroundings
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import AppendBatch, Appended, EventStore, SaveCheckpoint, SaveFailure
from actorium.store.memory import MemoryStore
from actorium.store.personal.keys import MemoryKeys
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore
from actorium.testing.shared_model import SharedModel, SharedModelStore

LEASE_S = 30.0
"""How long a process of a shared log that shows no sign of life keeps the log, in simulated seconds."""
CLUSTER_LEASE_S = 6.0
"""How long a node of a cluster that shows no sign of life keeps its shards, in simulated seconds."""
ONE_OWNER = "only the owner of a shard writes to its streams"
FENCED = "a process that lost the log writes nothing"


class Log(Protocol):
    """The log that each incarnation of a node connects to.

    families: the families of faults that happen only to nodes with such a log.
    """

    families: tuple[str, ...]

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

    families: tuple[str, ...] = ()

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


class SharedLog:
    """A log that several processes of a node open, as on a database server.

    A process that starts waits until the former one is gone, and fences it. What a killed process had sent may still
    arrive, and a frozen one may thaw: neither writes anything once another process holds the log.
    """

    families: tuple[str, ...] = ("lease",)

    def __init__(self, world: Surroundings, node: str) -> None:
        self._world = world
        self._node = node
        self._model = SharedModel(lambda: world.machine.now_s)
        self._stores: list[_WatchedStore] = []
        self.owner: int | None = None
        """The writer that was the last to take the log."""

    def connect(self) -> EventStore:
        self._stores.append(_WatchedStore(self, self._model, f"{self._node}, process {len(self._stores)}"))
        return self._stores[-1]

    def killed(self) -> None:
        writer = self._stores[-1].writer
        if writer is not None:
            self._model.end_session(writer)

    def lost_power(self) -> None:
        self.killed()

    def dispose(self) -> None:
        pass

    def wrote(self, writer: int) -> None:
        """Check that a write which the log took is that of its holder."""
        if writer != self.owner:
            self._world.violated(FENCED, f"writer {self.owner} holds the log", f"writer {writer} wrote")


class _WatchedStore(SharedModelStore):
    """The store of one process; the world checks what it writes."""

    def __init__(self, log: SharedLog, model: SharedModel, name: str) -> None:
        super().__init__(model, name=name, waits=True, lease_s=LEASE_S)
        self._log_of_node = log

    async def open(self) -> None:
        await super().open()
        self._log_of_node.owner = self.writer

    async def append(self, batch: AppendBatch) -> Appended:
        writer = self._require_open()
        appended = await super().append(batch)
        if batch.appends:
            self._log_of_node.wrote(writer)
        return appended

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        writer = self._require_open()
        failed = await super().save(checkpoints)
        self._log_of_node.wrote(writer)
        return failed


class ClusterLog:
    """A log that the nodes of a cluster share; each node has a `ClusterNodeLog` of its own."""

    def __init__(self, world: Surroundings) -> None:
        self.world = world
        self.model = ClusterModel(lambda: world.machine.now_s)

    def wrote(self, writer: int, batch: AppendBatch, appended: Appended) -> None:
        """Check that a node wrote only to streams whose shards belong to it."""
        owners = self.model.current.shards
        for append, outcome in zip(batch.appends, appended.outcomes, strict=True):
            owner = owners[shard_of(append.stream.type, append.stream.id)]
            if isinstance(outcome, int) and owner != writer:
                self.world.violated(ONE_OWNER, f"node {owner} owns {append.stream}", f"node {writer} wrote to it")


class ClusterNodeLog:
    """The log of a cluster, as the processes of one node see it."""

    families: tuple[str, ...] = ("lease", "connection")

    def __init__(self, log: ClusterLog) -> None:
        self._log = log
        self._stores: list[_WatchedNodeStore] = []

    def connect(self) -> EventStore:
        self._stores.append(_WatchedNodeStore(self._log))
        return self._stores[-1]

    def killed(self) -> None:
        writer = self._stores[-1].writer
        if writer is not None:
            self._log.model.end_session(writer)

    def lost_power(self) -> None:
        self.killed()

    def dispose(self) -> None:
        pass


class _WatchedNodeStore(ClusterModelStore):
    """The store of one process of a node; the world checks what it writes."""

    def __init__(self, log: ClusterLog) -> None:
        super().__init__(log.model, lease_s=CLUSTER_LEASE_S)
        self._log_of_cluster = log

    async def append(self, batch: AppendBatch) -> Appended:
        writer = self._require_open()
        appended = await super().append(batch)
        self._log_of_cluster.wrote(writer, batch, appended)
        return appended


class DiskLog:
    """The SQLite store that ships, on its own disk; the plan can cut the power during any write or sync."""

    families: tuple[str, ...] = ()

    def __init__(self, world: Surroundings, node: str, synchronous: str) -> None:
        self._world = world
        self._node = node
        self._synchronous = synchronous
        self._cuts = 0
        self._keys = MemoryKeys(seed=0)  # on another disk, which is not cut off
        self._disk = SimulatedDisk(before_write=self._before_write, before_sync=self._before_sync)

    def connect(self) -> EventStore:
        return SimulatedSqliteStore(self._disk, synchronous=self._synchronous, keys=self._keys)

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
    "shared-model": SharedLog,
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
