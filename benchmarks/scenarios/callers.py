"""Commands from callers that wait for their answers: one, many, very many; over many aggregates, ten, or one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import WARM_UP, Accounts, closed_loop, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, StoreName

_BOTH: Sequence[StoreName] = ("memory", "full")


async def measure(bench: Bench) -> Figures:
    """Return the figures of one closed loop."""
    accounts = Accounts(bench.count("aggregates"))
    callers, seconds, own_ids = bench.count("callers"), bench.seconds(), bool(bench.count("own_ids"))
    async with running(bench) as runtime:
        await accounts.open(runtime)
        await closed_loop(
            runtime, accounts, callers=callers, seconds=seconds * WARM_UP, seed=bench.seed + 1, own_ids=own_ids
        )
        before = runtime.statistics().writer
        with bench.clock() as clock:
            bench.latencies_s = await closed_loop(
                runtime, accounts, callers=callers, seconds=seconds, seed=bench.seed, own_ids=own_ids
            )
        after = runtime.statistics().writer
    await require_log(bench.store(), accounts.acknowledged())
    commands = len(bench.latencies_s)
    return {
        "commands_per_s": commands / clock.wall_s,
        "cpu_us_per_command": clock.cpu_s / commands * 1e6,
        "events_per_commit": commands / max(1, after.batches - before.batches),
    }


def _scenario(
    name: str,
    question: str,
    callers: int,
    aggregates: int,
    *,
    own_ids: int = 0,
    in_first_look: bool = True,
    **more: Any,
) -> Scenario:
    sizes = {"callers": callers, "aggregates": aggregates, "own_ids": own_ids}
    return Scenario(
        name=name,
        question=question,
        headline="commands_per_s",
        measure=measure,
        sizes={**sizes, "seconds": 2.0},
        quick={**sizes, "seconds": 0.4} if in_first_look else None,
        also="CPU {cpu_us_per_command} µs per command; {events_per_commit} events per commit",
        **more,
    )


SCENARIOS = (
    _scenario(
        "one-caller", "What rate does one caller that waits for each answer reach?", 1, 1_000, quick_stores=_BOTH
    ),
    _scenario("100-callers", "What rate do 100 callers reach over 1,000 aggregates?", 100, 1_000, quick_stores=_BOTH),
    _scenario(
        "own-ids",
        "What rate do 100 callers that pass their own command ids reach?",
        100,
        1_000,
        own_ids=1,
        in_first_look=False,
        beside=("100-callers",),
    ),
    _scenario(
        "10000-callers",
        "What rate do 10,000 callers reach over 1,000 aggregates?",
        10_000,
        1_000,
        beside=("100-callers",),
    ),
    _scenario("one-hot", "What rate do 100 callers reach on a single aggregate?", 100, 1, beside=("100-callers",)),
    _scenario(
        "ten-hot",
        "What rate do 100 callers reach on ten aggregates?",
        100,
        10,
        in_first_look=False,
        beside=("100-callers",),
    ),
)
