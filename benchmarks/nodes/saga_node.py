"""A node under sagas: `python -m actorium.benchmarks.nodes.saga_node <url> <name>`.

It writes `serves` when it accepts commands. A line on standard input is an order: `<where> <number>` lets it start so
many sagas, at desks and with ids that belong to any node (`any`) or to this one (`own`).
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator

from actorium import Runtime
from actorium.benchmarks.measuring.quiet import be_quiet
from actorium.benchmarks.nodes.cluster import NAMES
from actorium.benchmarks.nodes.node import orders, owned_by
from actorium.benchmarks.nodes.voyages import PARTS, OpenVoyage, Voyage, VoyageDesk
from actorium.cluster import Cluster

_DESKS = 50


class _Starter:
    """Starts the sagas of one node."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._numbers = itertools.count()
        self._sources: dict[str, Iterator[tuple[str, str]]] = {}
        self._sending: set[asyncio.Task[object]] = set()

    async def start(self, where: str, count: int) -> None:
        """Start sagas without waiting for them."""
        if where not in self._sources:
            self._sources[where] = await self._places(where)
        for desk, voyage in itertools.islice(self._sources[where], count):
            number = next(self._numbers) * len(NAMES) + NAMES.index(self._name)
            task = asyncio.ensure_future(self._runtime.send(OpenVoyage(desk, voyage, number)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _places(self, where: str) -> Iterator[tuple[str, str]]:
        """Return pairs of a desk and the id of a saga, without an end."""
        desks = (f"desk-{self._name}-{number}" for number in itertools.count())
        voyages = (f"{self._name}-{where}-{number}" for number in itertools.count())
        if where == "own":
            is_own = await owned_by(self._runtime, self._name)
            desks = (id for id in desks if is_own(VoyageDesk.__name__, id))
            voyages = (id for id in voyages if is_own(Voyage.__name__, id))
        return zip(itertools.cycle(list(itertools.islice(desks, _DESKS))), voyages)


async def _main(url: str, name: str) -> None:
    async with Runtime(PARTS, store=url, cluster=Cluster(node=name)) as runtime:
        starter = _Starter(runtime, name)
        async for where, count in orders():
            await starter.start(where, int(count))


if __name__ == "__main__":
    be_quiet()
    asyncio.run(_main(*sys.argv[1:]))
