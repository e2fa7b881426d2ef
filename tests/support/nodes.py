"""Nodes of a cluster in one process, on a model of the shared log and in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from zlib import crc32

from actorium import Runtime, Settings
from actorium.catalog import Part
from actorium.cluster import Cluster
from actorium.testing import LoopSource
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore

CALM = Settings(poll_s=5.0)


class Nodes:
    """A log, and the nodes that are running on it, by name."""

    def __init__(self, parts: Sequence[Part] = (), service: Callable[[], Any] | None = None) -> None:
        self.model = ClusterModel(asyncio.get_running_loop().time)
        self.running: dict[str, Runtime] = {}
        self._parts = parts
        self._service = service or (lambda: None)

    def new(self, name: str, parts: Sequence[Part] = (), **options: Any) -> Runtime:
        """Return a node that is not started."""
        return Runtime(
            parts or self._parts,
            store=ClusterModelStore(self.model),
            cluster=Cluster(node=name, **options),
            service=self._service(),
            settings=CALM,
            source=LoopSource(crc32(name.encode())),
        )

    async def start(self, name: str, parts: Sequence[Part] = (), **options: Any) -> Runtime:
        """Start a node; return once the shards are shared out."""
        node = self.running[name] = self.new(name, parts, **options)
        await node.start()
        await self.settled()
        return node

    async def stop(self, name: str) -> None:
        """Stop a node, as a deployment does."""
        await self.running.pop(name).stop()
        await self.settled()

    async def settled(self) -> None:
        """Return once everything is where it should be."""
        await asyncio.sleep(10)

    def __getitem__(self, name: str) -> Runtime:
        return self.running[name]

    def served(self, name: str) -> int:
        """Return how many shards a node serves."""
        node = self.running[name]._node
        assert node is not None
        return len(node.directory.served)

    def runs(self, handler: object) -> list[str]:
        """Return the names of the nodes that run a processor."""
        return [
            name
            for name, node in self.running.items()
            if handler in node.processors and node.processors[handler].statistics().state == "running"
        ]


@asynccontextmanager
async def nodes(*names: str, parts: Sequence[Part], service: Callable[[], Any] | None = None) -> AsyncIterator[Nodes]:
    """Run nodes on a new log."""
    group = Nodes(parts, service)
    try:
        for name in names:
            await group.start(name)
        yield group
    finally:
        for name in [*group.running]:
            await group.running.pop(name).stop()
