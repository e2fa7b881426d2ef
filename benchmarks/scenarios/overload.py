"""More load than the runtime can carry: what still gets done, what is turned away, and how long an answer takes.

The load is raised step by step, from half of what a closed loop gets to twice that. A command is worth its answer for a
quarter of a second from the moment it was meant to come. One that comes too late to be sent at all counts as refused,
too: its caller is gone.
"""

from __future__ import annotations

import random
import time

from actorium import CommandTimeout, MailboxFull, Runtime, Settings
from actorium.benchmarks.account import Deposit
from actorium.benchmarks.arrivals import arrive
from actorium.benchmarks.gate import require_log
from actorium.benchmarks.load import AMOUNT, Accounts, capacity_per_s, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

LOADS_PERCENT = (50, 75, 100, 150, 200)
_SHOWN_PERCENT = 150  # the step whose refusals and latencies are kept
_WORTH_S = 0.25
_SETTINGS = Settings(max_in_flight=1_000, mailbox_limit=100)


class Step:
    """What became of the commands of one load."""

    def __init__(self) -> None:
        self.arrived = self.good = self.refused = self.unknown = self.late = 0
        self.wall_s = 0.0
        self.latencies_s: list[float] = []


async def measure(bench: Bench) -> Figures:
    """Return goodput by load, and refusals and latencies at one and a half times the capacity."""
    accounts = Accounts(bench.count("aggregates"))
    steps: dict[int, Step] = {}
    async with running(bench, settings=_SETTINGS) as runtime:
        await accounts.open(runtime)
        capacity = await capacity_per_s(runtime, accounts, bench)
        with bench.clock():
            for percent in LOADS_PERCENT:
                rate = capacity * percent / 100
                steps[percent] = await _step(runtime, accounts, rate, bench.seconds(), bench.seed + percent)
    await require_log(bench.store(), accounts.acknowledged(), unknown=sum(step.unknown for step in steps.values()))
    shown = steps[_SHOWN_PERCENT]
    bench.latencies_s = shown.latencies_s
    return {
        **{f"goodput_at_{percent}_per_s": step.good / step.wall_s for percent, step in steps.items()},
        "capacity_per_s": capacity,
        "refused_per_s": shown.refused / shown.wall_s,
        "unknown_per_s": shown.unknown / shown.wall_s,
        "too_late_to_send_per_s": shown.late / shown.wall_s,
    }


async def _step(runtime: Runtime, accounts: Accounts, rate: float, seconds: float, seed: int) -> Step:
    step = Step()
    chance = random.Random(seed).random
    clock, send = time.perf_counter, runtime.send

    async def handle(intended: float) -> None:
        index = int(chance() * len(accounts.ids))
        left_s = intended + _WORTH_S - clock()
        if left_s <= 0:
            step.late += 1
            return
        try:
            await send(Deposit(accounts.ids[index], AMOUNT), timeout_s=left_s)
        except MailboxFull:
            step.refused += 1
        except CommandTimeout:
            step.unknown += 1
        else:
            step.good += 1
            accounts.events[index] += 1
            step.latencies_s.append(clock() - intended)

    began = clock()
    step.arrived = await arrive(rate, seconds, seed, handle)
    step.wall_s = clock() - began
    if step.good + step.refused + step.unknown + step.late != step.arrived:
        raise Wrong(f"{step.arrived} commands came, and not each of them had one end")
    return step


SCENARIO = Scenario(
    name="overload",
    question="How much is done in time at 50 to 200% of the capacity? (headline, latencies, refusals: at 150%)",
    headline=f"goodput_at_{_SHOWN_PERCENT}_per_s",
    measure=measure,
    sizes={"aggregates": 1_000, "seconds": 1.5},
    quick={"aggregates": 1_000, "seconds": 0.25},
)
