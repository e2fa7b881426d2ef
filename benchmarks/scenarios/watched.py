"""A steady load with and without consoles that watch it: what the watching costs.

The load alternates: without, with, with, without, so that a machine that becomes slower favours neither.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from actorium import Runtime
from actorium.benchmarks.account import Deposit
from actorium.benchmarks.measuring.arrivals import arrive
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong
from actorium.console import Console

_ORDER = (False, True, True, False)
_SCOPE = {"type": "http", "method": "GET", "path": "/api/live", "query_string": b""}


class Watcher:
    """A client of a console's live values, which reads everything at once."""

    def __init__(self) -> None:
        self.size_bytes = 0

    @asynccontextmanager
    async def watching(self, console: Console) -> Any:
        """Watch while the block runs."""
        watching = asyncio.create_task(
            console({**_SCOPE, "headers": [(b"host", b"localhost")]}, self._receive, self._send)
        )
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _receive(self) -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.size_bytes += len(message.get("body", b""))


async def measure(bench: Bench) -> Figures:
    """Return the CPU time of a command with and without consoles that watch."""
    accounts = Accounts(bench.count("aggregates"))
    rate, consoles = bench.count("per_second"), bench.count("consoles")
    cpu_s, commands, watched_bytes = {False: 0.0, True: 0.0}, {False: 0, True: 0}, 0
    async with running(bench) as runtime:
        await accounts.open(runtime)
        console = Console(runtime)
        with bench.clock():
            for quarter, is_watched in enumerate(_ORDER):
                watchers = [Watcher() for _ in range(consoles if is_watched else 0)]
                async with AsyncExitStack() as stack:
                    for watcher in watchers:
                        await stack.enter_async_context(watcher.watching(console))
                    before = time.process_time()
                    commands[is_watched] += await _load(runtime, accounts, rate, bench, quarter)
                    cpu_s[is_watched] += time.process_time() - before
                watched_bytes += sum(watcher.size_bytes for watcher in watchers)
    await require_log(bench.store(), accounts.acknowledged())
    per_command = {one: cpu_s[one] / max(1, commands[one]) * 1e6 for one in (False, True)}
    return {
        "cpu_us_per_command": per_command[True],
        "cpu_us_per_command_unwatched": per_command[False],
        "cpu_of_watching_percent": (per_command[True] / per_command[False] - 1) * 100,
        "watched_bytes": watched_bytes,
    }


async def _load(runtime: Runtime, accounts: Accounts, rate: float, bench: Bench, quarter: int) -> int:
    chance = random.Random(bench.seed + quarter).random
    answered = 0

    async def handle(_: float) -> None:
        nonlocal answered
        index = int(chance() * len(accounts.ids))
        await runtime.send(Deposit(accounts.ids[index], AMOUNT))
        accounts.events[index] += 1
        answered += 1

    arrived = await arrive(rate, bench.seconds(), bench.seed + quarter, handle)
    if answered != arrived:
        raise Wrong(f"{arrived} commands arrived, {answered} were answered")
    return arrived


SCENARIO = Scenario(
    name="watched",
    question="How much CPU time does a command take at {per_second} commands per second while {consoles} "
    "consoles watch?",
    headline="cpu_us_per_command",
    also="without consoles {cpu_us_per_command_unwatched} µs: they cost {cpu_of_watching_percent}%",
    measure=measure,
    sizes={"aggregates": 1_000, "per_second": 1_000, "consoles": 10, "seconds": 6.0},
    quick=None,
)
