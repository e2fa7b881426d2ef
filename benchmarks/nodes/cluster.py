"""The processes of a cluster under load, each limited to a share of one processor."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from actorium.benchmarks.nodes.cpu_share import CpuShare
from actorium.testing.postgresql.server import PostgresServer

NAMES = "abcd"
"""The names of the nodes."""
_SETTLED_S = 5.0  # until the shards are handed over to the last node


class NodeProcess:
    """A node's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def order(self, line: str) -> None:
        """Write an order to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

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


class RunningCluster(NamedTuple):
    """Nodes that serve, and the schema of their log."""

    nodes: list[NodeProcess]
    schema: str


@asynccontextmanager
async def running_cluster(
    server: PostgresServer, program: str, count: int, share: float
) -> AsyncIterator[RunningCluster]:
    """Start nodes on a new log; limit each to a share of one processor, unless that is 0.

    program: the module to run; it takes the URL of the log and the name of the node.
    """
    schema = f"nodes_{secrets.token_hex(4)}"
    url = server.url(schema=schema, lease_s="30")
    async with AsyncExitStack() as stack:
        nodes = []
        for name in NAMES[:count]:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", program, url, name, stdin=pipe, stdout=pipe
            )
            if share:
                group = CpuShare(f"actorium-{os.getpid()}-{name}", share)
                stack.callback(group.close)
                group.add(process.pid)
            nodes.append(NodeProcess(process))
            stack.push_async_callback(nodes[-1].stop)
            await nodes[-1].line()
        await asyncio.sleep(_SETTLED_S)
        yield RunningCluster(nodes, schema)
