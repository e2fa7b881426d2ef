"""Pykka's actors: one thread each, no log. They are a bound for the actor part alone."""

from __future__ import annotations

import random
import time
from typing import Any

from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_WARM_UP = 0.2


async def measure(bench: Bench) -> Figures:
    """Return the rate of requests, with a number of them at once."""
    import pykka

    class PykkaAccount(pykka.ThreadingActor):  # type: ignore[misc]  # the peer may not be installed where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.balance = self.version = 0

        def on_receive(self, message: int) -> int:
            if message > 0:
                self.balance += message
                self.version += 1
            return self.version

    accounts = [PykkaAccount.start() for _ in range(bench.count("aggregates"))]
    try:
        warmed = _ask(pykka, accounts, bench, bench.seconds() * _WARM_UP, [])
        with bench.clock() as clock:
            commands = _ask(pykka, accounts, bench, bench.seconds(), bench.latencies_s)
        found = sum(one.ask(0) for one in accounts)
    finally:
        pykka.ActorRegistry.stop_all()
    if found != warmed + commands:
        raise Wrong(f"{warmed + commands} requests were answered, the actors counted {found}")
    return {"commands_per_s": commands / clock.wall_s, "cpu_us_per_command": clock.cpu_s / commands * 1e6}


def _ask(pykka: Any, accounts: list[Any], bench: Bench, seconds: float, latencies_s: list[float]) -> int:
    chance, at_once, asked = random.Random(bench.seed), bench.count("at_once"), 0
    ends = time.perf_counter() + seconds
    now = 0.0
    while now < ends:
        began = time.perf_counter()
        if at_once == 1:
            chance.choice(accounts).ask(5)
        else:
            pykka.get_all([chance.choice(accounts).ask(5, block=False) for _ in range(at_once)])
        now = time.perf_counter()
        latencies_s.append(now - began)
        asked += at_once
    return asked


def _scenario(name: str, label: str, question: str, beside: str, at_once: int) -> Scenario:
    return Scenario(
        name=name,
        question=question,
        headline="commands_per_s",
        measure=measure,
        stores=("memory",),
        quick_stores=("memory",),
        sizes={"aggregates": 1_000, "at_once": at_once, "seconds": 2.0},
        quick={"aggregates": 200, "at_once": at_once, "seconds": 0.3},
        subject="pykka",
        beside=(beside,),
        needs="pykka",
        label=label,
        also="CPU {cpu_us_per_command} µs per command",
    )


SCENARIOS = (
    _scenario(
        "pykka",
        "Pykka, one at a time, no log",
        "How many requests per second, sent one at a time, do Pykka actors answer without a log?",
        "one-caller",
        1,
    ),
    _scenario(
        "pykka-100",
        "Pykka, 100 at a time, no log",
        "How many requests per second, sent {at_once} at a time, do Pykka actors answer without a log? "
        "(latencies: per {at_once} requests)",
        "100-callers",
        100,
    ),
)
