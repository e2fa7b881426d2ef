"""Measure commands and sagas on 1, 2 and 4 nodes, each limited to a share of one processor.

`python -m actorium.benchmarks.nodes [--share 0.2] [--seconds 10] [--callers 64] [--sagas 512]`; it needs root, for the
limits, and starts a PostgreSQL server, which is not limited.

The callers are in the nodes, so their share pays for them as well. They send first to accounts of their own node, as
clients that know the owner do, and then to accounts of any node: with four nodes, three of four such commands travel.
Before each measurement, every account gets a command from each node, and the load runs for a while without counting.

Sagas of three steps are started at their owners, that is at a desk of the node that owns the saga as well, or at any
node. The accounts of their steps belong to any node in both cases.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from actorium.benchmarks.nodes.cluster import NodeProcess, running_cluster
from actorium.benchmarks.nodes.node import NodeLoad
from actorium.benchmarks.nodes.saga_load import measure_sagas
from actorium.testing.postgresql.server import PostgresServer, own_server

_PROGRAM = "actorium.benchmarks.nodes.node"
_COUNTS = (1, 2, 4)
_ACCOUNTS = {"own": "accounts of the sender", "any": "accounts of any node"}
_PARTS = ("commands", "cost", "sagas")
_WARM_UP = 0.2  # the duration of the uncounted warm-up, as a part of the measured time


async def _load(node: NodeProcess, which: str, callers: int, seconds: float) -> NodeLoad:
    """Let a node send commands, and return what it did."""
    node.order(f"{which} {callers} {seconds}")
    return msgspec.json.decode(await node.line(), type=NodeLoad)


async def _loads(nodes: Sequence[NodeProcess], which: str, callers: Sequence[int], seconds: float) -> list[NodeLoad]:
    """Warm the nodes up, then let them send commands at the same time, each with its number of callers."""
    for measured_s in (0.0, seconds * _WARM_UP, seconds):
        orders = (_load(node, which, count, measured_s) for node, count in zip(nodes, callers, strict=True))
        loads = await asyncio.gather(*orders)
    return loads


async def _scaling(server: PostgresServer, share: float, callers: int, seconds: float) -> None:
    firsts: dict[str, float] = {}
    for count in _COUNTS:
        async with running_cluster(server, _PROGRAM, count, share) as (nodes, _):
            for which, accounts in _ACCOUNTS.items():
                loads = await _loads(nodes, which, [callers] * count, seconds)
                commands, cpu_s = sum(one.commands for one in loads), sum(one.cpu_s for one in loads)
                rate = commands / seconds
                first = firsts.setdefault(which, rate)
                used = ", ".join(f"{one.cpu_s / seconds:.2f}" for one in loads)
                print(
                    f"{count} nodes, {accounts}: {rate:8,.0f} commands/s, {rate / first:.2f} times one node, "
                    f"{cpu_s / commands * 1e6:,.0f} µs a command (processors used: {used})"
                )


async def _cost(server: PostgresServer, callers: int, seconds: float) -> None:
    """Compare the CPU time of both nodes for commands to the sender's own accounts and to the other's, in turns."""
    async with running_cluster(server, _PROGRAM, 2, 0.0) as (nodes, _):
        costs: dict[str, list[float]] = {"own": [], "other": []}
        for _ in range(3):
            for which, found in costs.items():
                loads = await _loads(nodes, which, (callers, 0), seconds / 3)
                found.append(sum(one.cpu_s for one in loads) / loads[0].commands * 1e6)
        own, remote = (sorted(found)[1] for found in costs.values())
        print(f"CPU of both nodes: {own:,.0f} µs for a command to a node's own accounts, {remote:,.0f} µs to another's")
        print(f"a command to another node costs {remote / own:.2f} times one to the sender's own")


def main(arguments: Sequence[str]) -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(prog="python -m actorium.benchmarks.nodes", description=__doc__)
    parser.add_argument("--share", type=float, default=0.2, help="how much of one processor each node gets")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure each")
    parser.add_argument("--callers", type=int, default=64, help="callers on each node")
    parser.add_argument("--sagas", type=int, default=512, help="sagas in flight for each node")
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, help="what to measure")
    asked = parser.parse_args(arguments)
    with own_server() as server:
        print(
            f"each node has {asked.share} of a processor, {asked.callers} callers and {asked.sagas} sagas in "
            f"flight; {asked.seconds:g} s each; every commit is flushed to the disk (fsync and synchronous_commit on)"
        )
        if "commands" in asked.only:
            asyncio.run(_scaling(server, asked.share, asked.callers, asked.seconds))
        if "cost" in asked.only:
            asyncio.run(_cost(server, asked.callers, asked.seconds))
        if "sagas" in asked.only:
            asyncio.run(measure_sagas(server, asked.share, asked.sagas, asked.seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
