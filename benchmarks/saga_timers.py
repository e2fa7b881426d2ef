"""Many sagas that wait on timers: how long a start takes, how much memory it needs, how late what is due fires.

`python -m benchmarks.saga_timers --sagas 100000` prints one JSON line. Sagas are started on a real SQLite file by a
process of their own, with a clock that runs ahead; then a fresh process opens the log, shortly before the first of them
falls due: `--per-second` of them each second, and `--burst` at one moment. Memory is the fresh process's peak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import structlog

from actorium import Aggregate, Command, Event, Runtime, Saga, decide, evolve, starts, step
from actorium.store.source import SystemSource

_TIMEOUT_S = 86_400.0
_BEFORE_S = 3.0
_T0_US = 1_700_000_000_000_000


class Order(Command):
    """Asks for something that will never be paid."""


class Ordered(Event):
    """Something was asked for."""


class Paid(Event):
    """It was paid, which never happens."""

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
    def paid(self, event: Paid) -> None:
        self.count -= 1


class Patience(Saga):
    """Waits for a payment."""

    @starts
    def ordered(self, event: Ordered) -> None: ...

    @step(until=Paid, correlate="order", timeout_s=_TIMEOUT_S)
    def wait(self) -> None: ...


class ShiftedSource(SystemSource):
    """The system's clock, put to another time."""

    shift_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.shift_us

    def put_to(self, us: int) -> None:
        """Let it be this time now."""
        self.shift_us = us - super().now_us()


async def fill(path: str, sagas: int, per_second: int, burst: int) -> None:
    """Start the sagas: the burst at one moment, then the others by their rate."""
    source = ShiftedSource()
    source.put_to(_T0_US)
    shops = 1_000
    async with Runtime([Shop, Patience], store=f"sqlite:///{path}", source=source) as runtime:
        for first in range(0, sagas, shops):
            source.put_to(_T0_US + max(0, first - burst) * 1_000_000 // per_second)
            await asyncio.gather(*(runtime.send(Order(f"shop{n}")) for n in range(min(shops, sagas - first))))
            while runtime.processor(Patience).statistics().lag_events:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        while sum([1 async for _ in runtime.sagas(status="running")]) < sagas:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def watch(path: str, seconds: float) -> dict[str, float]:
    """Open the log just before the first saga falls due, and see how late each of them fires."""
    source = ShiftedSource()
    source.put_to(_T0_US + round((_TIMEOUT_S - _BEFORE_S) * 1_000_000))
    began = time.perf_counter()
    late_s: list[float] = []
    async with Runtime([Shop, Patience], store=f"sqlite:///{path}", source=source) as runtime:
        start_s = time.perf_counter() - began
        memory_at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        await asyncio.sleep(_BEFORE_S + seconds)
        head = runtime.statistics().position
        async for saga in runtime.sagas(status="undone"):
            due_us = saga.started_at.timestamp() * 1e6 + _TIMEOUT_S * 1e6
            late_s.append((saga.updated_at.timestamp() * 1e6 - due_us) / 1e6)
        overdue = 0
        now_us = source.now_us() - 2_000_000
        async for saga in runtime.sagas(status="running"):
            overdue += saga.started_at.timestamp() * 1e6 + _TIMEOUT_S * 1e6 < now_us
    late_s.sort()
    if overdue or not late_s:
        raise SystemExit(f"wrong: {overdue} sagas are overdue, {len(late_s)} fired")
    return {
        "start_s": round(start_s, 3),
        "memory_at_start_mb": round(memory_at_start, 1),
        "memory_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "fired": len(late_s),
        "late_s_median": round(late_s[len(late_s) // 2], 4),
        "late_s_99": round(late_s[len(late_s) * 99 // 100], 4),
        "late_s_max": round(late_s[-1], 4),
        "log_events": head,
    }


def main() -> None:
    """Read the arguments, run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sagas", type=int, default=100_000)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--burst", type=int, default=1_000, help="sagas that fall due at one moment")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to watch after the first is due")
    parser.add_argument("--phase", choices=["all", "fill", "watch"], default="all")
    parser.add_argument("--path", default="")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if arguments.phase == "fill":
        asyncio.run(fill(arguments.path, arguments.sagas, arguments.per_second, arguments.burst))
    elif arguments.phase == "watch":
        print(json.dumps(asyncio.run(watch(arguments.path, arguments.seconds))))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "log.db"))
            began = time.perf_counter()
            _run(arguments, path, "fill")
            fill_s = time.perf_counter() - began
            figures = json.loads(_run(arguments, path, "watch"))
            print(json.dumps({"sagas": arguments.sagas, "fill_s": round(fill_s, 1), **figures}))


def _run(arguments: argparse.Namespace, path: str, phase: str) -> str:
    names = ("sagas", "per_second", "burst", "seconds")
    options = [text for name in names for text in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))]
    command = [sys.executable, "-m", "benchmarks.saga_timers", "--phase", phase, "--path", path, *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
