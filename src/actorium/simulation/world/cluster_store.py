"""`SimulatedClusterStore`: a node's connection to the log of its cluster, and to the other nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from actorium.application import Runtime
from actorium.runtime.statistics import RuntimeStatistics
from actorium.simulation.world.faults import Kind
from actorium.simulation.world.store import SimulatedSharedStore, SimulatedStore
from actorium.store.errors import ActoriumError
from actorium.store.event_store import EventStore
from actorium.store.events import EncodedRecord
from actorium.store.shared import ClusterStore, Members, Placement, SharedStore, kind_of


class SimulatedClusterStore(SimulatedSharedStore):
    """A ClusterStore as one incarnation of a node sees it, with the faults of the wire between the nodes."""

    def __init__(self, log: ClusterStore, *others: Any) -> None:
        super().__init__(log, *others)
        self._cluster_log = log
        self._cut_until_s: dict[int, float] = {}

    @property
    def lease_s(self) -> float:
        return self._cluster_log.lease_s

    async def join(self, name: str, code: str = "", about: str = "") -> int:
        if self._process.is_dead:
            await self._hang()
        self._require_there()
        number = await self._cluster_log.join(name, code, about)
        await self._wait(self._process.latency_s("commit"))
        await self._compare(self._witness.compare, 0)
        return number

    async def renew(self, *, is_passive: bool = False) -> Members:
        return await self._read("of the nodes", lambda: self._cluster_log.renew(is_passive=is_passive))

    async def read_wanted(self, after_position: int, limit: int, left_out: Collection[str]) -> list[EncodedRecord]:
        read = partial(self._cluster_log.read_wanted, after_position, limit, left_out)
        return await self._read("of the log", read)

    async def fence(self, node: int) -> bool:
        return await self._read("of a lost node", lambda: self._cluster_log.fence(node))

    async def placement(self) -> Placement:
        return await self._read("of the placement", self._cluster_log.placement)

    async def cluster_state(self) -> tuple[Members, Placement]:
        return await self._read("of the cluster", self._cluster_log.cluster_state)

    async def place(self, after: Placement) -> bool:
        fault = await self._knock([("save", "the placement")], lambda: self._cluster_log.place(after))
        is_placed = await self._cluster_log.place(after)
        await self._leave(fault)
        return is_placed

    async def pass_on(self, shards: Mapping[int, int]) -> None:
        fault = await self._knock([("save", "the placement")], lambda: self._cluster_log.pass_on(shards))
        await self._cluster_log.pass_on(shards)
        await self._leave(fault)

    async def tell(self, node: int, message: bytes) -> None:
        if self._process.is_dead:
            await self._hang()
        way = f"{self._process.name} to {node}"
        fault = self._plan.draw("frame", way)
        if fault is not None:
            self._process.fault_happened(fault)
        now_s = self._process.now_s()
        if fault is not None and fault.kind is Kind.WIRE_CUT:
            self._cut_until_s[node] = now_s + self._plan.amount(fault, 0.1, 20.0)
        await self._wait(self._process.latency_s("frame"))
        self._require_there()
        is_lost = fault is not None and fault.kind is Kind.FRAME_LOST
        if is_lost or (self._plan.is_active and now_s < self._cut_until_s.get(node, 0.0)):
            return
        if fault is None or fault.kind is not Kind.FRAME_LATE:
            await self._cluster_log.tell(node, message)
        if fault is not None and fault.kind in (Kind.FRAME_DOUBLED, Kind.FRAME_LATE):
            self._process.after(self._plan.amount(fault, 0.001, 20.0), lambda: self._tell_late(node, message))

    async def _tell_late(self, node: int, message: bytes) -> None:
        with suppress(ActoriumError):  # the process has ended meanwhile
            await self._cluster_log.tell(node, message)

    async def hear(self, receive: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        await self._cluster_log.hear(receive, missed)


_SIMULATED: Mapping[Any, type[SimulatedStore]] = {
    None: SimulatedStore,
    SharedStore: SimulatedSharedStore,
    ClusterStore: SimulatedClusterStore,
}


def simulated(log: EventStore, *others: Any) -> SimulatedStore:
    """Return a log as one incarnation of a node sees it; `others` are those of SimulatedStore."""
    return _SIMULATED[kind_of(log)](log, *others)


async def settled_statistics(runtime: Runtime) -> RuntimeStatistics:
    """Return the statistics of a runtime; one that was fenced and does not know it yet raises Fenced."""
    # The class, not the protocol: a check of a protocol is slow, and this is asked often.
    if isinstance(runtime.store, SimulatedClusterStore):
        await runtime.store.confirm_lease()
    return runtime.statistics()
