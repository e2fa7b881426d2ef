"""More load than the runtime can carry: what still gets done, what is turned away, and how long an answer takes.

A command is worth its answer for a quarter of a second from the moment it was meant to come. One that comes too late to
be sent at all counts as refused, too: its caller is gone.
"""

from __future__ import annotations

import random
import time

from actorium import CommandTimeout, MailboxFull, Settings
from actorium.benchmarks.account import Deposit
from actorium.benchmarks.arrivals import arrive
from actorium.benchmarks.gate import require_log
from actorium.benchmarks.load import AMOUNT, WARM_UP, Accounts, closed_loop, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_CALLERS = 100  # of the closed loop that finds the capacity
_LOAD = 1.5
_WORTH_S = 0.25
_MAX_IN_FLIGHT = 1_000


async def measure(bench: Bench) -> Figures:
    """Return goodput and refusals at one and a half times the capacity."""
    accounts = Accounts(bench.count("aggregates"))
    seconds = bench.seconds()
    refused = unknown = late = 0
    async with running(bench, settings=Settings(max_in_flight=_MAX_IN_FLIGHT, mailbox_limit=100)) as runtime:
        await accounts.open(runtime)
        await closed_loop(runtime, accounts, callers=_CALLERS, seconds=seconds * WARM_UP, seed=bench.seed + 1)
        began = time.perf_counter()
        done = await closed_loop(runtime, accounts, callers=_CALLERS, seconds=seconds * WARM_UP, seed=bench.seed + 2)
        capacity = len(done) / (time.perf_counter() - began)
        chance = random.Random(bench.seed).random
        clock_now, send = time.perf_counter, runtime.send

        async def handle(intended: float) -> None:
            nonlocal refused, unknown, late
            index = int(chance() * len(accounts.ids))
            left_s = intended + _WORTH_S - clock_now()
            if left_s <= 0:
                late += 1
                return
            try:
                await send(Deposit(accounts.ids[index], AMOUNT), timeout_s=left_s)
            except MailboxFull:
                refused += 1
            except CommandTimeout:
                unknown += 1
            else:
                accounts.events[index] += 1
                bench.latencies_s.append(clock_now() - intended)

        with bench.clock() as clock:
            arrived = await arrive(capacity * _LOAD, seconds, bench.seed, handle)
    await require_log(bench.store(), accounts.acknowledged(), unknown=unknown)
    good = len(bench.latencies_s)
    if good + refused + unknown + late != arrived:
        raise Wrong(f"{arrived} came: {good} acknowledged, {refused} refused, {unknown} unknown, {late} late")
    return {
        "goodput_per_s": good / clock.wall_s,
        "offered_per_s": arrived / seconds,
        "capacity_per_s": capacity,
        "refused_per_s": refused / clock.wall_s,
        "unknown_per_s": unknown / clock.wall_s,
        "too_late_to_send_per_s": late / clock.wall_s,
    }


SCENARIO = Scenario(
    name="overload",
    question="At one and a half times the capacity: how much is done, how much refused, how long does an answer take?",
    headline="goodput_per_s",
    measure=measure,
    sizes={"aggregates": 1_000, "seconds": 4.0},
    quick={"aggregates": 1_000, "seconds": 0.6},
)
