"""Commands that arrive independently of the answers: the latency that users see at half the capacity."""

from __future__ import annotations

import random
import time

from actorium.benchmarks.account import Deposit
from actorium.benchmarks.measuring.arrivals import arrive
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts, capacity_per_s, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_LOAD = 0.5


async def measure(bench: Bench) -> Figures:
    """Return the latencies, each from the intended time of its command."""
    accounts = Accounts(bench.count("aggregates"))
    seconds = bench.seconds()
    async with running(bench) as runtime:
        await accounts.open(runtime)
        capacity = await capacity_per_s(runtime, accounts, bench)
        chance = random.Random(bench.seed).random
        clock_now, send = time.perf_counter, runtime.send

        async def handle(intended: float) -> None:
            index = int(chance() * len(accounts.ids))
            await send(Deposit(accounts.ids[index], AMOUNT))
            accounts.events[index] += 1
            bench.latencies_s.append(clock_now() - intended)

        with bench.clock() as clock:
            arrived = await arrive(capacity * _LOAD, seconds, bench.seed, handle)
    await require_log(bench.store(), accounts.acknowledged())
    if len(bench.latencies_s) != arrived:
        raise Wrong(f"{arrived} commands arrived, {len(bench.latencies_s)} were answered")
    return {
        "offered_per_s": capacity * _LOAD,
        "cpu_us_per_command": clock.cpu_s / max(1, arrived) * 1e6,
    }


SCENARIO = Scenario(
    name="open-loop",
    question="How long does a command take at half the capacity, counted from its intended arrival time?",
    headline="p99_ms",
    also="offered {offered_per_s}/s; CPU {cpu_us_per_command} µs per command",
    measure=measure,
    sizes={"aggregates": 1_000, "seconds": 3.0},
    quick={"aggregates": 1_000, "seconds": 0.6},
)
