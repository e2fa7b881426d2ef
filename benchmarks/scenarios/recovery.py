"""A process killed under load with a long log: how long until a new one answers, and whether anything is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

from actorium import Runtime
from actorium.benchmarks.account import Account, Deposit
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT
from actorium.benchmarks.measuring.quiet import be_quiet
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_STREAMS = 1_000
_CALLERS = 100


async def measure(bench: Bench) -> Figures:
    """Return the time from opening the log after SIGKILL to the first new acknowledgement."""
    per_stream = bench.count("events") // _STREAMS
    await filled(bench, _STREAMS, per_stream)
    events = {f"account-{number}": per_stream for number in range(_STREAMS)}
    acknowledged = _kill_under_load(bench, bench.count("acknowledged"))
    for id, more in acknowledged.items():
        events[id] += more
    with bench.clock() as clock:
        began = time.perf_counter()
        async with Runtime([Account], store=bench.store()) as runtime:
            open_s = time.perf_counter() - began
            await bench.ask_durability(runtime.store)
            await runtime.send(Deposit("account-0", AMOUNT))
            first_s = time.perf_counter() - began
            position = runtime.statistics().position
    events["account-0"] += 1
    # Each caller had one command in flight at the kill: it may be in the log without an acknowledgement.
    await require_log(bench.store(), events, filled=per_stream, unknown=_CALLERS)
    return {
        "first_answer_ms": first_s * 1e3,
        "open_ms": open_s * 1e3,
        "acknowledged_before": sum(acknowledged.values()),
        "events_in_log": position,
        "cpu_ms": clock.cpu_s * 1e3,
    }


def _kill_under_load(bench: Bench, wanted: int) -> Mapping[str, int]:
    """Let a process write until a number of commands is acknowledged and it is killed; return them by aggregate."""
    command = [sys.executable, "-m", "actorium.benchmarks.scenarios.recovery", bench.url]
    with subprocess.Popen([*command, str(wanted)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        said = process.stdout.read() if process.stdout is not None else b""
    if process.returncode != -signal.SIGKILL:
        raise Wrong(f"the process to be killed ended with code {process.returncode}")
    counts: dict[str, int] = {}
    for id in said.decode().split():
        counts[id] = counts.get(id, 0) + 1
    return counts


async def _write_until_killed(url: str, wanted: int) -> None:
    async with Runtime([Account], store=url) as runtime:
        acknowledged = 0

        async def caller(number: int) -> None:
            nonlocal acknowledged
            while True:
                id = f"account-{(number + acknowledged * 7) % _STREAMS}"
                await runtime.send(Deposit(id, AMOUNT))
                os.write(1, f"{id}\n".encode())  # one unbuffered write: reported before anything else happens
                acknowledged += 1
                if acknowledged == wanted:
                    os.kill(os.getpid(), signal.SIGKILL)

        await asyncio.gather(*(caller(number) for number in range(_CALLERS)))


SCENARIO = Scenario(
    name="recovery",
    question="How long does the first new answer take after a SIGKILL under load, with {events} events in the log?",
    headline="first_answer_ms",
    measure=measure,
    stores=("full", "normal", "postgresql"),
    sizes={"events": 1_000_000, "acknowledged": 5_000},
    quick={"events": 20_000, "acknowledged": 500},
    also="open after {open_ms} ms; {acknowledged_before} acknowledged before the kill, none lost",
)

if __name__ == "__main__":
    be_quiet()
    asyncio.run(_write_until_killed(sys.argv[1], int(sys.argv[2])))
