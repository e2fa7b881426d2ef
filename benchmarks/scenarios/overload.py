"""More load than the runtime can handle: how much is still done, how much is rejected, and how long answers take.

The load rises in steps from half of a closed loop's rate to four times that rate. An answer is useful for a quarter of
a second from the intended time of its command. A command that is too late to be sent at all is counted separately: it
waited where the runtime cannot see it, until its caller was gone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Coroutine
from typing import Any

from actorium import Runtime
from actorium.benchmarks.account import Deposit
from actorium.benchmarks.measuring.arrivals import arrive
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.latencies import Latencies
from actorium.benchmarks.measuring.load import AMOUNT, Accounts, capacity_per_s, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong
from actorium.errors import CommandTimeout, Overloaded, ServiceUnavailable
from actorium.services import Client

LOADS_PERCENT = (50, 75, 100, 150, 200, 300, 400)
_SHOWN_PERCENT = 200  # the step whose latencies are recorded
_WORTH_S = 0.25


class LoadStep:
    """The results of the commands of one load, from the intended time of the first to the end of the last."""

    def __init__(self) -> None:
        self.arrived = self.good = self.refused = self.unknown = self.late = 0
        self.began_s = float("inf")
        self.ended_s = 0.0
        self.latencies_s: list[float] = []

    @property
    def wall_s(self) -> float:
        """The duration; the start-up time of the sending process is not counted."""
        return self.ended_s - self.began_s


async def measure(bench: Bench) -> Figures:
    """Return goodput, rejections and the slowest answers by load, and the latencies at twice the capacity."""
    accounts = Accounts(bench.count("aggregates"))
    steps: dict[int, LoadStep] = {}
    async with running(bench) as runtime:
        await accounts.open(runtime)
        capacity = await capacity_per_s(runtime, accounts, bench)
        with bench.clock():
            for percent in LOADS_PERCENT:
                rate = capacity * percent / 100
                steps[percent] = await load_step(runtime, accounts, rate, bench.seconds(), bench.seed + percent)
    await require_log(bench.store(), accounts.acknowledged(), unknown=sum(step.unknown for step in steps.values()))
    shown = steps[_SHOWN_PERCENT]
    bench.latencies_s = shown.latencies_s
    return {
        **{f"goodput_at_{percent}_per_s": step.good / step.wall_s for percent, step in steps.items()},
        "capacity_per_s": capacity,
        **{f"p99_at_{percent}_ms": Latencies.of(step.latencies_s).at_ms(99) for percent, step in steps.items()},
        **{f"refused_at_{percent}_per_s": step.refused / step.wall_s for percent, step in steps.items()},
        **{f"unknown_at_{percent}_per_s": step.unknown / step.wall_s for percent, step in steps.items()},
        **{f"too_late_at_{percent}_per_s": step.late / step.wall_s for percent, step in steps.items()},
    }


async def load_step(runtime: Runtime | Client, accounts: Accounts, rate: float, seconds: float, seed: int) -> LoadStep:
    """Send commands at a rate, whatever becomes of them; return their results."""
    step = LoadStep()
    chance = random.Random(seed).random
    clock, send = time.perf_counter, runtime.send

    def handle(intended: float) -> Coroutine[Any, Any, None] | None:
        # With four times the load, most of the work is here: the cost of these lines is taken from the goodput.
        if intended < step.began_s:
            step.began_s = intended
        left_s = intended + _WORTH_S - clock()
        if left_s <= 0:
            step.late += 1
            return None
        return deposit(intended, left_s)

    async def deposit(intended: float, left_s: float) -> None:
        index = int(chance() * len(accounts.ids))
        try:
            await send(Deposit(accounts.ids[index], AMOUNT), timeout_s=left_s)
        except (Overloaded, ServiceUnavailable):
            step.refused += 1
        except CommandTimeout:
            step.unknown += 1
        else:
            step.good += 1
            accounts.events[index] += 1
            step.latencies_s.append(clock() - intended)

    step.arrived = await arrive(rate, seconds, seed, handle)
    step.ended_s = clock()
    if step.good + step.refused + step.unknown + step.late != step.arrived:
        raise Wrong(f"{step.arrived} commands arrived, but not each of them had exactly one result")
    return step


SCENARIO = Scenario(
    name="overload",
    question="How many commands are answered in time at 50 to 400% of the capacity? "
    f"(headline, latencies: at {_SHOWN_PERCENT}%)",
    headline=f"goodput_at_{_SHOWN_PERCENT}_per_s",
    measure=measure,
    sizes={"aggregates": 1_000, "seconds": 1.5},
    quick={"aggregates": 1_000, "seconds": 0.25},
    also="in time at 50, 100, 200, 400%: {goodput_at_50_per_s}, {goodput_at_100_per_s}, {goodput_at_200_per_s}, "
    "{goodput_at_400_per_s}/s; capacity {capacity_per_s}/s; rejected at 200%: {refused_at_200_per_s}/s",
)
