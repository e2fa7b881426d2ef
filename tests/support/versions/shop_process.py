"""A node of the shop as a process: `python -m support.versions.shop_process <service> <version> <node> <store> <bus>`.

It writes `serves` once it accepts commands, stops at the end of its standard input, and then writes how many events it
had parked.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from support.versions.shop import customers_node, orders_node

from actorium import Runtime

TESTS = Path(__file__).parents[2]
Make = Callable[[int, str, str, str], Runtime]
SERVICES: dict[str, Make] = {"customers": customers_node, "orders": orders_node}


class ShopProcess:
    """One node, seen from the test that runs it."""

    def __init__(self, service: str, version: int, node: str, store: str, bus: str) -> None:
        self._arguments = service, str(version), node, store, bus

    async def start(self) -> "ShopProcess":
        """Return once it accepts commands."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "support.versions.shop_process", *self._arguments]
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=TESTS)
        assert await self._line() == "serves"
        return self

    async def stop(self) -> int:
        """Let it leave the cluster, and expect that it ends well; return how many events it had parked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        parked = int(await self._line())
        assert await self._process.wait() == 0
        return parked

    async def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            if line.startswith("serves") or line.strip().isdecimal():  # the rest is its log
                return line.strip()
        raise AssertionError("the node has ended: see its error above")


async def _main(service: str, version: str, node: str, store: str, bus: str) -> None:
    async with SERVICES[service](int(version), node, store, bus) as runtime:
        print("serves", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        parked = len(runtime.dead_letters.list())
    print(parked, flush=True)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
