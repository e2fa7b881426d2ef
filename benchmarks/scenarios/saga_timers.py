"""Many sagas that wait for a payment that never comes: how long a start takes, and how late the timers fire.

A separate process with a clock that runs ahead starts the sagas. Then a fresh process opens the log shortly before the
first of them times out: a burst at one moment, followed by a steady rate.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

from actorium import Aggregate, Command, Event, Runtime, Saga, decide, evolve, starts, step
from actorium.benchmarks.measuring.quiet import be_quiet
from actorium.benchmarks.measuring.resident import resident_mb
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong
from actorium.store.source import SystemSource

_TIMEOUT_S = 86_400.0
_BEFORE_S = 2.0
_OVERDUE_S = 2.0
_T0_US = 1_700_000_000_000_000
_SHOPS = 1_000


class Order(Command):
    """Order something that will never be paid."""


class Ordered(Event):
    """Something was ordered."""


class OrderPaid(Event):
    """The order was paid, which never happens."""

    order: str


class Shop(Aggregate):
    """Takes orders."""

    count: int = 0

    @decide
    def order(self, command: Order) -> Ordered:
        return Ordered()

    @evolve
    def ordered(self, event: Ordered) -> None:
        self.count += 1

    @evolve
    def paid(self, event: OrderPaid) -> None:
        self.count -= 1


class Patience(Saga):
    """Waits for a payment."""

    @starts
    def ordered(self, event: Ordered) -> None: ...

    @step(until=OrderPaid, correlate="order", timeout_s=_TIMEOUT_S)
    def wait(self) -> None: ...


class ShiftedSource(SystemSource):
    """The system's clock, set to another time."""

    shift_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.shift_us

    def put_to(self, us: int) -> None:
        """Set the current time."""
        self.shift_us = us - super().now_us()


async def measure(bench: Bench) -> Figures:
    """Return how long a start takes, the memory of the waiting sagas, and how late they fire."""
    sagas, per_second, burst = bench.count("sagas"), bench.count("per_second"), bench.count("burst")
    _filled(bench, sagas, per_second, burst)
    source = ShiftedSource()
    source.put_to(_T0_US + round((_TIMEOUT_S - _BEFORE_S) * 1e6))
    before_mb = resident_mb()
    with bench.clock():
        began = time.perf_counter()
        async with Runtime([Shop, Patience], store=bench.store(), source=source) as runtime:
            start_s = time.perf_counter() - began
            await bench.ask_durability(runtime.store)
            waiting_mb = resident_mb() - before_mb
            await asyncio.sleep(_BEFORE_S + bench.seconds())
            async for saga in runtime.sagas.list(status="undone"):
                due_s = saga.started_at.timestamp() + _TIMEOUT_S
                bench.latencies_s.append(saga.updated_at.timestamp() - due_s)
            now_s = source.now_us() / 1e6 - _OVERDUE_S
            overdue = 0
            async for saga in runtime.sagas.list(status="running"):
                overdue += saga.started_at.timestamp() + _TIMEOUT_S < now_s
    fired = len(bench.latencies_s)
    if overdue or fired < min(burst, sagas):
        raise Wrong(f"{fired} sagas have fired, {overdue} are overdue by more than {_OVERDUE_S:.0f} s")
    return {"start_ms": start_s * 1e3, "waiting_mb": waiting_mb, "fired": fired}


def _filled(bench: Bench, sagas: int, per_second: int, burst: int) -> None:
    prepared = bench.shared / f"sagas-{sagas}-{per_second}-{burst}.db"
    if not prepared.exists():
        unfinished = prepared.with_suffix(".part")
        command = [sys.executable, "-m", "actorium.benchmarks.scenarios.saga_timers", str(unfinished)]
        subprocess.run([*command, str(sagas), str(per_second), str(burst)], check=True, stdin=subprocess.DEVNULL)
        unfinished.rename(prepared)
    shutil.copyfile(prepared, bench.path)


async def _start(path: str, sagas: int, per_second: int, burst: int) -> None:
    """Start the sagas: the burst at one moment, the others at a steady rate."""
    source = ShiftedSource()
    async with Runtime([Shop, Patience], store=f"sqlite:///{Path(path)}?synchronous=OFF", source=source) as runtime:
        for first in range(0, sagas, _SHOPS):
            source.put_to(_T0_US + max(0, first - burst) * 1_000_000 // per_second)
            await asyncio.gather(*(runtime.send(Order(f"shop-{n}")) for n in range(min(_SHOPS, sagas - first))))
            while runtime.processors[Patience].statistics().lag_events:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        while sum([1 async for _ in runtime.sagas.list(status="running")]) < sagas:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


SCENARIO = Scenario(
    name="saga-timers",
    question="How long does a runtime with {sagas} sagas that wait for timers take to start? "
    "(latencies: how late the timers fire)",
    headline="start_ms",
    measure=measure,
    stores=("full",),
    sizes={"sagas": 50_000, "per_second": 200, "burst": 1_000, "seconds": 5.0},
    quick=None,
    also="{waiting_mb} MB for the waiting sagas; {fired} fired",
)

if __name__ == "__main__":
    be_quiet()
    asyncio.run(_start(sys.argv[1], *map(int, sys.argv[2:])))
