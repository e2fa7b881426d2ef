"""Measure sagas of three steps on 1, 2 and 4 nodes.

The driver keeps a number of sagas in flight for each node: it counts in the log which have completed, and has as many
started. So the nodes do not pay for noticing the ends.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psutil

from actorium.benchmarks.nodes.cluster import NAMES, NodeProcess, running_cluster
from actorium.sagas.model.events import SagaCompleted
from actorium.store.events import event_type_of
from actorium.store.tables.dialect import quoted
from actorium.testing.postgresql.server import PostgresServer

_PROGRAM = "actorium.benchmarks.nodes.saga_node"
_COUNTS = (1, 2, 4)
_WHERE = {"own": "started at the saga's owner", "any": "started at any node"}
_LOOK_EVERY_S = 0.05
_WARM_UP = 0.4  # the duration of the uncounted warm-up, as a part of the measured time


class _SagaLoad:
    """Keeps sagas in flight, and counts those that completed.

    connection: a connection to the log's database.
    """

    def __init__(self, nodes: Sequence[NodeProcess], connection: Any, schema: str) -> None:
        self._nodes = dict(zip(NAMES, nodes, strict=False))
        self._connection = connection
        self._ended_after = (
            f"SELECT position, left(stream_id, 1) FROM {quoted(schema)}.events "
            f"WHERE position > $1 AND type = '{event_type_of(SagaCompleted)}' ORDER BY position"
        )
        self._position = 0
        self._in_flight: Counter[str] = Counter()
        self.completed = 0

    async def keep(self, where: str, in_flight: int, seconds: float) -> None:
        """Keep so many sagas in flight for each node, for a time."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for name, node in self._nodes.items():
                if missing := in_flight - self._in_flight[name]:
                    node.order(f"{where} {missing}")
                    self._in_flight[name] += missing
            await asyncio.sleep(_LOOK_EVERY_S)
            rows = await self._connection.fetch(self._ended_after, self._position)
            if rows:
                self._position = rows[-1][0]
            self.completed += len(rows)
            self._in_flight.subtract(name for _, name in rows)


async def measure_sagas(server: PostgresServer, share: float, in_flight: int, seconds: float) -> None:
    """Print the rate of sagas, and what one costs, for each number of nodes."""
    import asyncpg  # of the extra `postgresql`

    firsts: dict[str, float] = {}
    for count in _COUNTS:
        async with running_cluster(server, _PROGRAM, count, share) as (nodes, schema):
            connection = await asyncpg.connect(server.url().partition("?")[0])
            load = _SagaLoad(nodes, connection, schema)
            for where, started in _WHERE.items():
                await load.keep(where, in_flight, seconds * _WARM_UP)
                before, cpu_s, began = load.completed, _cpu_s(nodes), time.perf_counter()
                await load.keep(where, in_flight, seconds)
                took_s = time.perf_counter() - began
                used = [after - earlier for after, earlier in zip(_cpu_s(nodes), cpu_s, strict=True)]
                sagas = load.completed - before
                rate = sagas / took_s
                first = firsts.setdefault(where, rate)
                print(
                    f"{count} nodes, sagas {started}: {rate:8,.0f} sagas/s, {rate / first:.2f} times one node, "
                    f"{sum(used) / sagas * 1e6:,.0f} µs a saga (processors used: "
                    f"{', '.join(f'{one / took_s:.2f}' for one in used)})"
                )
            await connection.close()


def _cpu_s(nodes: Sequence[NodeProcess]) -> list[float]:
    """Return the CPU time of each node so far."""
    return [sum(psutil.Process(node.pid).cpu_times()[:2]) for node in nodes]
