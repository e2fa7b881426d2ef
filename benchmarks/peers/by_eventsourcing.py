"""The library `eventsourcing`, used in the way nearest to a live actor: the caller keeps the aggregates in memory.

Its calls block, so with one thread the flush of the disk limits its rate. There are three cases: a single caller, 8
threads, and a caller that collects 100 commands and saves their changes in one transaction. The commands in the third
case succeed or fail together. The library sets only WAL, so SQLite's default applies, `synchronous=FULL`; for the other
level each of its connections is configured explicitly.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from actorium.benchmarks.scenario import IN_PROCESS, Bench, Figures, Scenario, StoreName, Wrong

_MODULE = "eventsourcing"
_REFERENCE = "ref-000000000000000000000000000000000000"
_WARM_UP = 0.2


async def measure(bench: Bench) -> Figures:
    """Return the rate of deposits; each thread saves a number of them at once before it continues."""
    application, account, event_count = _application(bench)
    accounts = [account() for _ in range(bench.count("aggregates"))]
    for one in accounts:
        application.save(one)
    threads, at_once = bench.count("threads"), bench.count("at_once")

    def deposit(mine: Sequence[int], chance: Callable[[], float]) -> None:
        changed = {}
        for _ in range(at_once):
            index = mine[int(chance() * len(mine))]
            changed[index] = accounts[index]
            accounts[index].deposit(5)
        application.save(*changed.values())

    warmed = len(_all_threads(deposit, len(accounts), threads, bench.seconds() * _WARM_UP, bench.seed + 1))
    with bench.clock() as clock:
        bench.latencies_s = _all_threads(deposit, len(accounts), threads, bench.seconds(), bench.seed)
    commands = len(bench.latencies_s) * at_once
    found, expected = event_count(), len(accounts) + warmed * at_once + commands
    application.close()
    if found != expected:
        raise Wrong(f"{expected} events were saved, {found} are in the log")
    return {"commands_per_s": commands / clock.wall_s, "cpu_us_per_command": clock.cpu_s / commands * 1e6}


def _all_threads(
    deposit: Callable[[Sequence[int], Callable[[], float]], None],
    aggregates: int,
    threads: int,
    seconds: float,
    seed: int,
) -> list[float]:
    """Let each thread deposit to its own aggregates, so that no two write one stream; return the durations of saves."""
    latencies_s: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds

    def work(thread: int) -> None:
        chance = random.Random(seed * 1_000_003 + thread).random
        mine = range(thread, aggregates, threads)
        now = 0.0
        while now < ends:
            began = clock()
            deposit(mine, chance)
            now = clock()
            latencies_s.append(now - began)

    if threads == 1:
        work(0)
        return latencies_s
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    return latencies_s


def _application(bench: Bench) -> tuple[Any, Callable[[], Any], Callable[[], int]]:
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class EventsourcingAccount(Aggregate):  # type: ignore[misc]  # the peer may not be installed where types are checked
        @event("Opened")  # type: ignore[untyped-decorator]
        def __init__(self) -> None:
            self.balance = 0

        @event("Deposited")  # type: ignore[untyped-decorator]
        def _deposited(self, amount: int, currency: str, reference: str, note: str) -> None:
            self.balance += amount

        def deposit(self, amount: int) -> None:
            if amount <= 0:
                raise ValueError(amount)
            self._deposited(amount, "EUR", _REFERENCE, "monthly transfer")

    if bench.is_file:
        _set_synchronous(bench)
        os.environ["PERSISTENCE_MODULE"] = "eventsourcing.sqlite"
        os.environ["SQLITE_DBNAME"] = str(bench.path)
    application = Application()
    return application, EventsourcingAccount, lambda: len(application.recorder.select_notifications(1, 2_000_000_000))


def _set_synchronous(bench: Bench) -> None:
    from eventsourcing import sqlite as module

    create = module.SQLiteConnectionPool._create_connection

    def connect(pool: Any) -> Any:
        connection = create(pool)
        db: sqlite3.Connection = connection._sqlite_conn
        db.execute(f"PRAGMA synchronous={bench.synchronous}")
        bench.require_durability(db)
        return connection

    module.SQLiteConnectionPool._create_connection = connect


def _scenario(
    name: str, label: str, question: str, beside: Sequence[str], *, threads: int = 1, at_once: int = 1, **more: Any
) -> Scenario:
    return Scenario(
        name=name,
        question=question,
        headline="commands_per_s",
        measure=measure,
        sizes={"aggregates": 1_000, "threads": threads, "at_once": at_once, "seconds": 2.0},
        quick={"aggregates": 200, "threads": threads, "at_once": at_once, "seconds": 0.4},
        subject="eventsourcing",
        beside=beside,
        needs=_MODULE,
        label=label,
        stores=IN_PROCESS,
        also="CPU {cpu_us_per_command} µs per command",
        **more,
    )


_MEMORY_TOO: Sequence[StoreName] = ("memory", "full")
SCENARIOS = (
    _scenario(
        "eventsourcing",
        "eventsourcing, one caller",
        "What rate does one caller of `eventsourcing` that keeps the aggregates in memory reach?",
        ("one-caller", "100-callers"),
        quick_stores=_MEMORY_TOO,
    ),
    _scenario(
        "eventsourcing-8",
        "eventsourcing, 8 threads",
        "What rate do 8 threads of `eventsourcing` that keep the aggregates in memory reach?",
        ("100-callers",),
        threads=8,
        quick_stores=_MEMORY_TOO,
    ),
    _scenario(
        "eventsourcing-100",
        "eventsourcing, 100 commands per save",
        "What rate does one caller of `eventsourcing` that saves {at_once} commands in one transaction reach? "
        "The commands succeed or fail together. (latencies: per save)",
        ("100-callers",),
        at_once=100,
    ),
)
