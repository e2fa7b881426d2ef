"""The other service of a run, in a process of its own: `python -m actorium.benchmarks.services.other ROLE BUS STORE`.

It says `ready` once it runs, and stops when its input ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from actorium import Runtime
from actorium.benchmarks.account import Account, Deposit, Deposited
from actorium.benchmarks.databases import server_cpu_s
from actorium.benchmarks.measuring.quiet import be_quiet
from actorium.benchmarks.scenario import Wrong
from actorium.benchmarks.services.parts import FarDesk, StampThere
from actorium.services import Service

NAME = "other"
_STOP_S = 60.0

ROLES: Mapping[str, tuple[list[Any], dict[str, Any]]] = {
    "bank": ([Account], {"accepts": [Deposit]}),
    "publisher": ([Account], {"publishes": [Deposited]}),
    "far": ([FarDesk], {"accepts": [StampThere]}),
}
"""What the other service is: its parts, and what it offers."""


class OtherService:
    """The other process, from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def cpu_s(self) -> float:
        """Return the CPU time that it has used so far, in seconds."""
        return server_cpu_s(self._process.pid)


@asynccontextmanager
async def other_service(role: str, bus: str, store: str) -> AsyncIterator[OtherService]:
    """Run the other service; it has stopped, and closed its log, afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "actorium.benchmarks.services.other",
        role,
        bus,
        store,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None, "it has a pipe"
    assert process.stdout is not None, "it has a pipe"
    try:
        if await process.stdout.readline() != b"ready\n":
            raise Wrong(f"the service {role} did not start")
        yield OtherService(process)
        process.stdin.close()
        async with asyncio.timeout(_STOP_S):
            code = await process.wait()
        if code:
            raise Wrong(f"the service {role} ended with {code}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _serve(role: str, bus: str, store: str) -> None:
    parts, offered = ROLES[role]
    async with Runtime(parts, store=store, service=Service(NAME, bus=bus, **offered)):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    be_quiet()
    asyncio.run(_serve(*sys.argv[1:]))
