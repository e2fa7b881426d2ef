"""The cost of a command as the number of aggregates grows, with a limit on the actors in memory.

The aggregates exist before the run. Each command goes to a random one, the worst case for a limit of live actors: with
a million aggregates and 10,000 live actors, 99 of 100 commands find their actor cold and hydrate it first.
"""

from __future__ import annotations

from actorium import Passivation, Settings
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import WARM_UP, Accounts, closed_loop, running
from actorium.benchmarks.measuring.resident import resident_mb
from actorium.benchmarks.scenario import Bench, Figures, Scenario

_CALLERS = 100


async def measure(bench: Bench) -> Figures:
    """Return the rate over a number of aggregates."""
    count, seconds = bench.count("aggregates"), bench.seconds()
    await filled(bench, count, 1)
    accounts = Accounts(count, events=1)
    settings = Settings(passivation=Passivation(max_live=bench.count("max_live")))
    before_mb = resident_mb()
    async with running(bench, settings=settings) as runtime:
        await closed_loop(runtime, accounts, callers=_CALLERS, seconds=seconds * WARM_UP, seed=bench.seed + 1)
        hydrations = runtime.statistics().hydrations
        with bench.clock() as clock:
            bench.latencies_s = await closed_loop(runtime, accounts, callers=_CALLERS, seconds=seconds, seed=bench.seed)
        after = runtime.statistics()
        grown_mb = resident_mb() - before_mb
    await require_log(bench.store(), accounts.acknowledged(), filled=1)
    commands = len(bench.latencies_s)
    return {
        "commands_per_s": commands / clock.wall_s,
        "cpu_us_per_command": clock.cpu_s / commands * 1e6,
        "hydrations_per_command": (after.hydrations - hydrations) / commands,
        "live_actors": after.live_actors,
        "grown_mb": grown_mb,
    }


def _scenario(name: str, aggregates: int, quick: int | None, *beside: str) -> Scenario:
    return Scenario(
        name=name,
        question="What rate do 100 callers reach over {aggregates} aggregates, with at most {max_live} of them in "
        "memory?",
        headline="commands_per_s",
        measure=measure,
        beside=beside,
        sizes={"aggregates": aggregates, "max_live": 10_000, "seconds": 2.0},
        quick=None if quick is None else {"aggregates": quick, "max_live": 1_000, "seconds": 0.4},
        also="CPU {cpu_us_per_command} µs and {hydrations_per_command} hydrations per command; "
        "memory grew by {grown_mb} MB with {live_actors} actors alive",
    )


SCENARIOS = (
    _scenario("growth-1k", 1_000, 1_000),
    _scenario("growth-10k", 10_000, 10_000, "growth-1k"),
    _scenario("growth-100k", 100_000, None),
    _scenario("growth-1m", 1_000_000, None, "growth-1k"),
)
