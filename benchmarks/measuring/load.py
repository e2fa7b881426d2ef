"""Work for a runtime: closed loops of callers, and the subscriber that listens meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actorium import Runtime, Settings
from actorium.benchmarks.account import Account, Deposit
from actorium.benchmarks.scenario import Bench, Wrong

_AT_ONCE = 1_000
_CAPACITY_S_MIN = 0.2  # what is shorter is decided by whatever the machine does at that moment
_FOLLOWER_PATIENCE_S = 60.0
WARM_UP = 0.2  # this part of the measured time goes before it, uncounted
AMOUNT = 5


class BenchmarkFollower:
    """A live subscription to everything: it has to see each position once, in order."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.position = runtime.statistics().position
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        position = self.position
        async for recorded in self._runtime.events(after=position):
            position += 1
            if recorded.position != position:
                raise Wrong(f"the subscriber saw position {recorded.position} where {position} comes next")
            self.position = position

    async def end(self) -> None:
        """Let it come to the end of the log once all commands are over, and stop it; raise Wrong if it does not."""
        patience = time.perf_counter() + _FOLLOWER_PATIENCE_S
        while not self._task.done() and time.perf_counter() < patience:
            now = self._runtime.statistics()
            if not now.in_flight and self.position == now.position:
                break
            await asyncio.sleep(0.001)
        if self._task.done():
            await self._task
        self._task.cancel()
        end = self._runtime.statistics().position
        if self.position != end:
            raise Wrong(f"the subscriber saw {self.position} of {end} events")


@asynccontextmanager
async def running(
    bench: Bench, parts: Sequence[Any] = (Account,), settings: Settings | None = None
) -> AsyncIterator[Runtime]:
    """Run a runtime on the run's store with a live subscription; at the end that has seen everything."""
    async with Runtime(list(parts), store=bench.store(), settings=settings) as runtime:
        await bench.ask_durability(runtime.store)
        follower = BenchmarkFollower(runtime)
        yield runtime
        await follower.end()


class Accounts:
    """So many aggregates, and how many events of each were acknowledged."""

    def __init__(self, count: int, *, events: int = 0) -> None:
        self.ids = [f"account-{number}" for number in range(count)]
        self.events = [events] * count

    async def open(self, runtime: Runtime) -> None:
        """Give each its first event."""
        for first in range(0, len(self.ids), _AT_ONCE):
            await asyncio.gather(*(runtime.send(Deposit(id, AMOUNT)) for id in self.ids[first : first + _AT_ONCE]))
        self.events = [events + 1 for events in self.events]

    def acknowledged(self) -> dict[str, int]:
        """Return the events that have to be in the log, by aggregate."""
        return dict(zip(self.ids, self.events, strict=True))


async def closed_loop(
    runtime: Runtime, accounts: Accounts, *, callers: int, seconds: float, seed: int, own_ids: bool = False
) -> list[float]:
    """Have each caller send its next command when its last is acknowledged; return how long each took, in seconds.

    own_ids: each command carries an id that the caller made, so that the log has to be asked whether it knows it.
    """
    latencies_s: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds

    async def caller(number: int) -> None:
        ids, events, send = accounts.ids, accounts.events, runtime.send
        count, chance = len(ids), random.Random(seed * 1_000_003 + number).random
        now = 0.0
        sent = 0
        while now < ends:  # at least once, however slow the machine
            began = clock()
            index = int(chance() * count)
            sent += 1
            await send(Deposit(ids[index], AMOUNT), command_id=f"{seed}-{number}-{sent}" if own_ids else None)
            events[index] += 1
            now = clock()
            latencies_s.append(now - began)

    await asyncio.gather(*(asyncio.create_task(caller(number)) for number in range(callers)))
    return latencies_s


async def capacity_per_s(runtime: Runtime, accounts: Accounts, bench: Bench) -> float:
    """Return the rate of a closed loop of 100 callers, after a warm-up."""
    seconds = max(_CAPACITY_S_MIN, bench.seconds() * WARM_UP)
    for seed in (bench.seed + 1, bench.seed + 2):
        began = time.perf_counter()
        done = await closed_loop(runtime, accounts, callers=100, seconds=seconds, seed=seed)
        rate = len(done) / (time.perf_counter() - began)
    return rate
