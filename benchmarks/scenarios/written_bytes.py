"""The bytes that reach the disk for an event, when the streams of one commit are spread over many.

SQLite writes whole pages, so what a commit costs depends on how many pages its rows change. The system counts the bytes
that the process writes, to the write-ahead log and to the database; only Linux does.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import psutil

from actorium import Runtime
from actorium.benchmarks.account import Deposit
from actorium.benchmarks.measuring.filling import fill
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_CALLERS = 100
_WARM_UP = 0.25  # the uncounted events, as a share of the counted ones


async def measure(bench: Bench) -> Figures:
    """Return the bytes written for one event of 100 callers."""
    count, events = bench.count("aggregates"), bench.count("events")
    # A copy of a filled file would lie in longer pieces in the system's cache, each counted whole when a page changes.
    await fill(bench.store(), count, 1)
    accounts = Accounts(count, events=1)
    chance = random.Random(bench.seed).random
    async with running(bench) as runtime:
        await _send(runtime, accounts, (int(chance() * count) for _ in range(int(events * _WARM_UP))), [])
        batches, before = runtime.statistics().writer.batches, _written_bytes()
        with bench.clock() as clock:
            await _send(runtime, accounts, (int(chance() * count) for _ in range(events)), bench.latencies_s)
        written_bytes = _written_bytes() - before
        batches = runtime.statistics().writer.batches - batches
    await require_log(bench.store(), accounts.acknowledged(), filled=1)
    return {
        "written_bytes": written_bytes / events,
        "cpu_us_per_command": clock.cpu_s / events * 1e6,
        "events_per_commit": events / batches,
    }


async def _send(runtime: Runtime, accounts: Accounts, indexes: Iterator[int], latencies_s: list[float]) -> None:
    async def caller() -> None:
        for index in indexes:
            began = time.perf_counter()
            await runtime.send(Deposit(accounts.ids[index], AMOUNT))
            latencies_s.append(time.perf_counter() - began)
            accounts.events[index] += 1

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))


def _written_bytes() -> int:
    """Return the bytes that this process has caused to be written so far."""
    try:
        return int(psutil.Process().io_counters().write_bytes)
    except AttributeError:
        raise Wrong("this system does not count the bytes that a process writes") from None


def _scenario(name: str, aggregates: int, quick: int) -> Scenario:
    return Scenario(
        name=name,
        question="How many bytes are written for each event of 100 callers over {aggregates} aggregates?",
        headline="written_bytes",
        measure=measure,
        sizes={"aggregates": aggregates, "events": 80_000},
        quick={"aggregates": quick, "events": 1_000},
        stores=("full",),
        also="CPU {cpu_us_per_command} µs per command; {events_per_commit} events per commit",
    )


SCENARIOS = (_scenario("written-bytes-1k", 1_000, 100), _scenario("written-bytes-100k", 100_000, 1_000))
