"""The library `eventsourcing`, in the way that is nearest to a live actor: the caller holds the aggregates.

Its calls block: with one thread its rate is bound by the disk's flush, so there is one case with a single caller and
one with 8 threads. It sets nothing but WAL, so SQLite's own default holds, `synchronous=FULL`; for the other level each
of its connections is told so.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from actorium.benchmarks.scenario import STORES, Bench, Figures, Scenario, StoreName, Wrong

_MODULE = "eventsourcing"
_REFERENCE = "ref-000000000000000000000000000000000000"
_WARM_UP = 0.2


async def measure(bench: Bench) -> Figures:
    """Return the rate of deposits, each saved before the next of its thread."""
    application, account, event_count = _application(bench)
    accounts = [account() for _ in range(bench.count("aggregates"))]
    for one in accounts:
        application.save(one)
    threads = bench.count("threads")

    def deposit(index: int) -> None:
        accounts[index].deposit(5)
        application.save(accounts[index])

    warmed = len(_all_threads(deposit, len(accounts), threads, bench.seconds() * _WARM_UP, bench.seed + 1))
    with bench.clock() as clock:
        bench.latencies_s = _all_threads(deposit, len(accounts), threads, bench.seconds(), bench.seed)
    commands = len(bench.latencies_s)
    found, expected = event_count(), len(accounts) + warmed + commands
    application.close()
    if found != expected:
        raise Wrong(f"{expected} events were saved, {found} are in the log")
    return {"commands_per_s": commands / clock.wall_s, "cpu_us_per_command": clock.cpu_s / commands * 1e6}


def _all_threads(
    deposit: Callable[[int], None], aggregates: int, threads: int, seconds: float, seed: int
) -> list[float]:
    """Let each thread deposit on aggregates of its own, so that no two write one stream."""
    latencies_s: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds

    def work(thread: int) -> None:
        chance = random.Random(seed * 1_000_003 + thread).random
        mine = range(thread, aggregates, threads)
        now = 0.0
        while now < ends:
            began = clock()
            deposit(mine[int(chance() * len(mine))])
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

    class Account(Aggregate):  # type: ignore[misc]  # the peer may not be installed where types are checked
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

    if bench.is_durable:
        _set_synchronous(bench)
        os.environ["PERSISTENCE_MODULE"] = "eventsourcing.sqlite"
        os.environ["SQLITE_DBNAME"] = str(bench.path)
    application = Application()
    return application, Account, lambda: len(application.recorder.select_notifications(1, 2_000_000_000))


def _set_synchronous(bench: Bench) -> None:
    from eventsourcing import sqlite as module

    create = module.SQLiteConnectionPool._create_connection

    def connect(pool: Any) -> Any:
        connection = create(pool)
        db: sqlite3.Connection = connection._sqlite_conn
        db.execute(f"PRAGMA synchronous={bench.synchronous}")
        ((mode,),) = db.execute("PRAGMA journal_mode").fetchall()
        ((level,),) = db.execute("PRAGMA synchronous").fetchall()
        bench.durability = f"journal_mode={mode}, synchronous={level}"
        return connection

    module.SQLiteConnectionPool._create_connection = connect


def _scenario(name: str, question: str, threads: int, beside: Sequence[str], stores: Sequence[StoreName]) -> Scenario:
    return Scenario(
        name=name,
        question=question,
        headline="commands_per_s",
        measure=measure,
        stores=stores,
        sizes={"aggregates": 1_000, "threads": threads, "seconds": 2.0},
        quick={"aggregates": 200, "threads": threads, "seconds": 0.4},
        quick_stores=("memory", "full") if "memory" in stores else ("full",),
        subject="eventsourcing",
        beside=beside,
        needs=_MODULE,
    )


_BOTH = ("one-caller", "100-callers")
SCENARIOS = (
    _scenario("eventsourcing", "`eventsourcing`, one caller who holds the aggregates", 1, _BOTH, STORES),
    _scenario("eventsourcing-8", "`eventsourcing`, 8 threads", 8, ("100-callers",), STORES),
)
