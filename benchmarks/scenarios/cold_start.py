"""Many cold aggregates at once, as after a restart: how fast they are hydrated."""

from __future__ import annotations

import asyncio
import time

from actorium.benchmarks.account import Account
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_CALLERS = 100


async def measure(bench: Bench) -> Figures:
    """Return the rate at which cold aggregates are hydrated for 100 callers."""
    count, events = bench.count("aggregates"), bench.count("events")
    await filled(bench, count, events)
    accounts = Accounts(count, events=events)
    async with running(bench) as runtime:
        left = iter(accounts.ids)

        async def caller() -> None:
            for id in left:
                began = time.perf_counter()
                state = await runtime.get(Account, id)
                bench.latencies_s.append(time.perf_counter() - began)
                if state.balance != events * AMOUNT:
                    raise Wrong(f"{id} has {state.balance} after {events} deposits of {AMOUNT}")

        with bench.clock() as clock:
            await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    await require_log(bench.store(), accounts.acknowledged(), filled=events)
    return {
        "aggregates_per_s": count / clock.wall_s,
        "events_per_s": count * events / clock.wall_s,
        "cpu_us_per_event": clock.cpu_s / (count * events) * 1e6,
    }


SCENARIO = Scenario(
    name="cold-start",
    question="How fast are {aggregates} cold aggregates of {events} events each hydrated?",
    headline="aggregates_per_s",
    measure=measure,
    sizes={"aggregates": 10_000, "events": 100},
    quick={"aggregates": 500, "events": 100},
    also="{events_per_s} events/s; CPU {cpu_us_per_event} µs per event",
)
