"""What a command costs, in bytecodes, and in CPU time as a multiple of that of a minimal process.

Neither depends on the speed of the machine, nor on what else runs on it. So these figures can be compared with those of
a stored run, and each scenario has a limit: `actorium bench --only cost --compare FILE` fails if it is exceeded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actorium import Ack, Passivation, Runtime, Settings
from actorium.benchmarks.account import Account, Deposit
from actorium.benchmarks.measuring.bytecodes import Bytecodes
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts, running
from actorium.benchmarks.scenario import Bench, Figures, Scenario, StoreName, Wrong
from actorium.benchmarks.scenarios import sagas
from actorium.benchmarks.yardsticks.least import Least, Pay, connect
from actorium.errors import Overloaded
from actorium.store.event_store import AppendBatch, Appended
from actorium.store.memory import MemoryStore

_BYTECODES_LIMIT = 1.15
_CPU_LIMIT = 1.6  # the smallest of several rounds still varies by a quarter on two busy cores
_BOTH: tuple[StoreName, ...] = ("memory", "full")
_AHEAD = 1_000
_BATCH = 100
_COMMIT_S = 0.02


async def _send_all(send: Callable[[int], Awaitable[Any]], accounts: int, callers: int, commands: int) -> None:
    """Let callers send a number of commands to accounts, in an order that is the same in each run."""

    async def caller(number: int) -> None:
        for sent in range(number, commands, callers):
            await send(sent * 7 % accounts)

    await asyncio.gather(*(caller(number) for number in range(callers)))


async def _of_commands(bench: Bench) -> Figures:
    callers, commands = bench.count("callers"), bench.count("commands")
    accounts = Accounts(bench.count("aggregates"))
    settings = Settings(passivation=Passivation(max_live=bench.count("max_live")))

    async def send(account: int) -> None:
        await runtime.send(Deposit(accounts.ids[account], AMOUNT))
        accounts.events[account] += 1

    if bench.count("is_cold"):
        async with Runtime([Account], store=bench.store()) as runtime:
            await accounts.open(runtime)
    counted = Bytecodes(threads=True)
    try:
        async with running(bench, settings=settings) as runtime:
            if not bench.count("is_cold"):
                await accounts.open(runtime)
            await _send_all(send, len(accounts.ids), callers, 2 * callers)
            hydrations = runtime.statistics().hydrations
            counted.start()
            await _send_all(send, len(accounts.ids), callers, commands)
            counted.stop()
            executed = counted.executed
            hydrations = runtime.statistics().hydrations - hydrations
    finally:
        counted.close()
    await require_log(bench.store(), accounts.acknowledged())
    return {"bytecodes_per_command": executed / commands, "hydrations_per_command": hydrations / commands}


async def _of_known_ids(bench: Bench) -> Figures:
    """Return the bytecodes of a command of an import that was made before, nine tenths of it."""
    callers, commands = bench.count("callers"), bench.count("commands")
    accounts = Accounts(bench.count("aggregates"))

    async def send(number: int) -> Ack:
        return await runtime.send(Deposit(accounts.ids[number % len(accounts.ids)], AMOUNT), command_id=f"row-{number}")

    counted = Bytecodes(threads=True)
    try:
        async with running(bench) as runtime:
            await accounts.open(runtime)
            await asyncio.gather(*(send(number) for number in range(commands) if number % 10))
            counted.start()
            await _send_all(send, commands, callers, commands)
            counted.stop()
            executed, duplicates = counted.executed, runtime.statistics().duplicates
    finally:
        counted.close()
    if duplicates != commands - len(range(0, commands, 10)):
        raise Wrong(f"{duplicates} of {commands} commands were found in the log")
    return {"bytecodes_per_command": executed / commands}


class _SlowStore(MemoryStore):
    """Takes long enough for the throughput to be known while many commands are waiting."""

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        return asyncio.ensure_future(self._append_later(batch))

    async def _append_later(self, batch: AppendBatch) -> Appended:
        await asyncio.sleep(_COMMIT_S)
        return await super().append(batch)


async def _of_refusals(bench: Bench) -> Figures:
    commands, refused = bench.count("commands"), 0
    store, counted = _SlowStore(), Bytecodes()
    async with Runtime([Account], store=store, settings=Settings(max_batch_events=_BATCH)) as runtime:
        ahead = [asyncio.ensure_future(runtime.send(Deposit(f"a{number}", AMOUNT))) for number in range(_AHEAD)]
        await ahead[_AHEAD // 2]
        counted.start()
        for _ in range(commands):  # the loop does nothing else meanwhile
            try:
                await runtime.send(Deposit("late", AMOUNT), timeout_s=0.0)
            except Overloaded:
                refused += 1
        counted.stop()
        await asyncio.gather(*ahead)
    if refused != commands:
        raise Wrong(f"{commands - refused} of {commands} commands were not refused")
    return {"bytecodes_per_command": counted.executed / commands}


async def _of_sagas(bench: Bench) -> Figures:
    counted = Bytecodes()
    inner = Bench(bench.store_name, bench.sizes, bench.folder, bench.shared, seed=bench.seed, profile=counted)
    await sagas.measure(inner)
    return {"bytecodes_per_saga": counted.executed / bench.count("sagas")}


async def _of_cpu_time(bench: Bench) -> Figures:
    """Return the CPU time of a command relative to a minimal process, each the smallest of interleaved rounds."""
    callers, commands = bench.count("callers"), bench.count("commands")
    accounts = Accounts(bench.count("aggregates"))
    db = connect(bench) if bench.is_file else None
    least = Least(db)

    async def send(account: int) -> None:
        await runtime.send(Deposit(accounts.ids[account], AMOUNT))
        accounts.events[account] += 1

    async def ask(account: int) -> None:
        await least.ask(accounts.ids[account], Pay(AMOUNT))

    spent_us: dict[Callable[[int], Awaitable[None]], list[float]] = {send: [], ask: []}
    own = Bench(bench.store_name, bench.sizes, bench.folder / "own", bench.shared, seed=bench.seed)
    own.folder.mkdir()
    async with running(own) as runtime:
        await accounts.open(runtime)
        for _ in range(bench.count("rounds")):
            for one, spent in spent_us.items():
                began = time.process_time()
                await _send_all(one, len(accounts.ids), callers, commands)
                spent.append((time.process_time() - began) / commands * 1e6)
    least.close()
    if db is not None:
        db.close()
    await require_log(own.store(), accounts.acknowledged())
    ours_us, least_us = (min(spent) for spent in spent_us.values())
    return {"cpu_times_least": ours_us / least_us, "cpu_us": ours_us, "least_cpu_us": least_us}


def _scenario(
    name: str,
    question: str,
    measure: Callable[[Bench], Awaitable[Figures]],
    headline: str = "bytecodes_per_command",
    stores: Sequence[StoreName] = _BOTH,
    limit: float = _BYTECODES_LIMIT,
    **sizes: float,
) -> Scenario:
    return Scenario(
        name=name,
        question=question,
        headline=headline,
        measure=measure,
        sizes=sizes,
        quick=None,
        stores=stores,
        quick_stores=stores,
        limit=limit,
        also="CPU {cpu_us} µs per command, minimal {least_cpu_us} µs" if headline == "cpu_times_least" else "",
    )


SCENARIOS = (
    _scenario(
        "cost-one-caller",
        "How many bytecodes does a command of one caller take?",
        _of_commands,
        callers=1,
        commands=200,
        aggregates=100,
        max_live=10_000,
        is_cold=0,
    ),
    _scenario(
        "cost-100-callers",
        "How many bytecodes does a command of one of {callers} callers take?",
        _of_commands,
        callers=100,
        commands=1_000,
        aggregates=1_000,
        max_live=10_000,
        is_cold=0,
    ),
    _scenario(
        "cost-cold",
        "How many bytecodes does a command take whose actor must be hydrated?",
        _of_commands,
        callers=100,
        commands=500,
        aggregates=1_000,
        max_live=200,
        is_cold=1,
    ),
    _scenario(
        "cost-known-ids",
        "How many bytecodes does a command take if nine tenths of the {commands} commands took effect before?",
        _of_known_ids,
        callers=100,
        commands=1_000,
        aggregates=100,
    ),
    _scenario(
        "cost-refused",
        "How many bytecodes does a command take that is refused in an overload?",
        _of_refusals,
        stores=("memory",),
        commands=500,
    ),
    _scenario(
        "cost-saga",
        "How many bytecodes does a saga of three steps take?",
        _of_sagas,
        "bytecodes_per_saga",
        stores=("memory",),
        sagas=60,
        in_flight=30,
    ),
    _scenario(
        "cost-cpu",
        "How much CPU time does a command take, as a multiple of that of a minimal process? ({callers} callers)",
        _of_cpu_time,
        "cpu_times_least",
        limit=_CPU_LIMIT,
        callers=100,
        commands=2_000,
        aggregates=1_000,
        rounds=7,
    ),
)
