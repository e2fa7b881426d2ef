"""Measure 1, 2 and 4 nodes, each limited to a share of one processor, and what a command to another node costs.

`python -m actorium.benchmarks.nodes [--share 0.2] [--seconds 10] [--callers 64]`; it needs root, for the limits, and
starts a PostgreSQL server, which is not limited.

The callers are in the nodes, so their share pays for them as well. They send first to accounts of their own node, as
clients that know the owner do, and then to accounts of any node: with four nodes, three of four such commands travel.
Before each measurement, every account gets a command from each node, and the load runs for a while without counting.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from actorium.benchmarks.nodes.cpu_share import CpuShare
from actorium.benchmarks.nodes.node import NodeLoad
from actorium.testing.postgresql.server import PostgresServer, own_server

_NAMES = "abcd"
_COUNTS = (1, 2, 4)
_ACCOUNTS = {"own": "accounts of the sender", "any": "accounts of any node"}
_SETTLED_S = 5.0  # until the shards are handed over to the last node
_WARM_UP = 0.2  # the duration of the uncounted warm-up, as a part of the measured time


class _Node:
    """A node's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def load(self, which: str, callers: int, seconds: float) -> NodeLoad:
        """Let it send commands, and return what it did."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{which} {callers} {seconds}\n".encode())
        return msgspec.json.decode(await self.line(), type=NodeLoad)

    async def line(self) -> bytes:
        """Return the next line that it writes."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the node has ended: see its error above"
        return line

    async def stop(self) -> None:
        """Let it leave the cluster."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def _cluster(server: PostgresServer, count: int, share: float) -> AsyncIterator[list[_Node]]:
    """Start nodes on a new log; limit each to a share of one processor, unless that is 0."""
    url = server.url(schema=f"nodes_{secrets.token_hex(4)}", lease_s="30")
    async with AsyncExitStack() as stack:
        nodes = []
        for name in _NAMES[:count]:
            pipe = asyncio.subprocess.PIPE
            command = [sys.executable, "-m", "actorium.benchmarks.nodes.node", url, name]
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            if share:
                group = CpuShare(f"actorium-{os.getpid()}-{name}", share)
                stack.callback(group.close)
                group.add(process.pid)
            nodes.append(_Node(process))
            stack.push_async_callback(nodes[-1].stop)
            await nodes[-1].line()
        await asyncio.sleep(_SETTLED_S)
        yield nodes


async def _loads(nodes: Sequence[_Node], which: str, callers: Sequence[int], seconds: float) -> list[NodeLoad]:
    """Warm the nodes up, then let them send commands at the same time, each with its number of callers."""
    for measured_s in (0.0, seconds * _WARM_UP, seconds):
        orders = (node.load(which, count, measured_s) for node, count in zip(nodes, callers, strict=True))
        loads = await asyncio.gather(*orders)
    return loads


async def _scaling(server: PostgresServer, share: float, callers: int, seconds: float) -> None:
    firsts: dict[str, float] = {}
    for count in _COUNTS:
        async with _cluster(server, count, share) as nodes:
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
    async with _cluster(server, 2, 0.0) as nodes:
        costs: dict[str, list[float]] = {"own": [], "other": []}
        for _ in range(3):
            for which, found in costs.items():
                loads = await _loads(nodes, which, (callers, 0), seconds / 3)
                found.append(sum(one.cpu_s for one in loads) / loads[0].commands * 1e6)
        own, remote = (sorted(found)[1] for found in costs.values())
        print(f"CPU of both nodes: {own:,.0f} µs for a command to a node's own accounts, {remote:,.0f} µs to another's")
        print(f"a command to another node costs {remote / own:.2f} times one to the sender's own")


def main(arguments: Sequence[str]) -> None:
    """Run both measurements."""
    parser = argparse.ArgumentParser(prog="python -m actorium.benchmarks.nodes", description=__doc__)
    parser.add_argument("--share", type=float, default=0.2, help="how much of one processor each node gets")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure each")
    parser.add_argument("--callers", type=int, default=64, help="callers on each node")
    asked = parser.parse_args(arguments)
    with own_server() as server:
        print(
            f"each node has {asked.share} of a processor and {asked.callers} callers; {asked.seconds} s each; "
            "every commit is flushed to the disk (fsync and synchronous_commit on)"
        )
        asyncio.run(_scaling(server, asked.share, asked.callers, asked.seconds))
        asyncio.run(_cost(server, asked.callers, asked.seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
