"""Commands to another service from callers that wait for their answers, over a bus in memory."""

from __future__ import annotations

from actorium.benchmarks.account import Account, Deposit
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import WARM_UP, Accounts, closed_loop, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario
from actorium.services import Client, RemoteService, Service

_BUS = "memory://benchmark"


async def measure(bench: Bench) -> Figures:
    """Return the figures of one closed loop whose commands cross the bus; both ends are in this process."""
    accounts = Accounts(bench.count("aggregates"))
    callers, seconds = bench.count("callers"), bench.seconds()
    service = Service("bank", bus=_BUS, accepts=[Deposit])
    bank = RemoteService("bank", commands=[Deposit])
    async with running(bench, [Account], service=service) as runtime, Client(_BUS, [bank]) as client:
        await accounts.open(runtime)
        await closed_loop(client, accounts, callers=callers, seconds=seconds * WARM_UP, seed=bench.seed + 1)
        with bench.clock() as clock:
            bench.latencies_s = await closed_loop(client, accounts, callers=callers, seconds=seconds, seed=bench.seed)
    await require_log(bench.store(), accounts.acknowledged())
    commands = len(bench.latencies_s)
    return {
        "commands_per_s": commands / clock.wall_s,
        "cpu_us_per_command": clock.cpu_s / commands * 1e6,
    }


SCENARIO = Scenario(
    name="remote-callers",
    question="What rate do 100 callers reach over a bus, with both ends in one process?",
    headline="commands_per_s",
    measure=measure,
    sizes={"callers": 100, "aggregates": 1_000, "seconds": 2.0},
    quick=None,
    also="CPU {cpu_us_per_command} µs per command",
    beside=("100-callers",),
)
