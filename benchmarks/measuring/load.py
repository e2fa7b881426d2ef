"""Load on a runtime: closed loops of callers, with a subscriber that follows the log."""

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
from actorium.services import Client, Service

_AT_ONCE = 1_000
_CAPACITY_S_MIN = 0.2  # a shorter measurement depends on what else the machine does at that moment
_FOLLOWER_PATIENCE_S = 60.0
WARM_UP = 0.2  # the uncounted warm-up, as a share of the measured time
AMOUNT = 5


class BenchmarkFollower:
    """A live subscription to all events, which must deliver each position once, in order."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.position = runtime.statistics().position
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        position = self.position
        async for recorded in self._runtime.events(after=position):
            position += 1
            if recorded.position != position:
                raise Wrong(f"the subscriber saw position {recorded.position}, expected {position}")
            self.position = position

    async def end(self) -> None:
        """Wait for the end of the log after all commands are finished, and stop; raise Wrong if it is not reached."""
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
    bench: Bench,
    parts: Sequence[Any] = (Account,),
    settings: Settings | None = None,
    service: Service | None = None,
) -> AsyncIterator[Runtime]:
    """Run a runtime on the run's store with a live subscription, which must have seen every event at the end."""
    async with Runtime(list(parts), store=bench.store(), settings=settings, service=service) as runtime:
        await bench.ask_durability(runtime.store)
        follower = BenchmarkFollower(runtime)
        yield runtime
        await follower.end()


class Accounts:
    """A number of aggregates, and the count of acknowledged events of each."""

    def __init__(self, count: int, *, events: int = 0) -> None:
        self.ids = [f"account-{number}" for number in range(count)]
        self.events = [events] * count

    async def open(self, runtime: Runtime | Client) -> None:
        """Send each account its first command."""
        for first in range(0, len(self.ids), _AT_ONCE):
            await asyncio.gather(*(runtime.send(Deposit(id, AMOUNT)) for id in self.ids[first : first + _AT_ONCE]))
        self.events = [events + 1 for events in self.events]

    def acknowledged(self) -> dict[str, int]:
        """Return the number of events that must be in the log, by aggregate."""
        return dict(zip(self.ids, self.events, strict=True))


async def closed_loop(
    runtime: Runtime | Client, accounts: Accounts, *, callers: int, seconds: float, seed: int, own_ids: bool = False
) -> list[float]:
    """Let each caller send its next command when its last one is acknowledged; return the durations, in seconds.

    own_ids: each command carries an id made by the caller, so the log must be searched for it.
    """
    latencies_s: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds
    chance = random.Random(seed).random  # shared: seeding one for each of ten thousand callers would cost as a command

    async def caller(number: int) -> None:
        ids, events, send = accounts.ids, accounts.events, runtime.send
        count = len(ids)
        now = 0.0
        sent = 0
        while now < ends:  # at least once, even on a slow machine
            began = clock()
            index = int(chance() * count)
            sent += 1
            await send(Deposit(ids[index], AMOUNT), command_id=f"{seed}-{number}-{sent}" if own_ids else None)
            events[index] += 1
            now = clock()
            latencies_s.append(now - began)

    await asyncio.gather(*(asyncio.create_task(caller(number)) for number in range(callers)))
    return latencies_s


async def capacity_per_s(runtime: Runtime | Client, accounts: Accounts, bench: Bench) -> float:
    """Return the rate of a closed loop of 100 callers, after a warm-up."""
    seconds = max(_CAPACITY_S_MIN, bench.seconds() * WARM_UP)
    for seed in (bench.seed + 1, bench.seed + 2):
        began = time.perf_counter()
        done = await closed_loop(runtime, accounts, callers=100, seconds=seconds, seed=seed)
        rate = len(done) / (time.perf_counter() - began)
    return rate
