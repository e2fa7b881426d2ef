"""The layers below the runtime: rows by SQLite alone, events by our store alone, and the flush of the disk."""

from __future__ import annotations

import random
import time

from actorium.benchmarks.measuring.environment import flush_ms
from actorium.benchmarks.measuring.filling import deposited
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import Accounts
from actorium.benchmarks.scenario import DURABLE, YARDSTICK, Bench, Figures, Scenario, Wrong
from actorium.benchmarks.yardsticks.least import INSERT, connect
from actorium.store.event_store import Append, AppendBatch, CommandMark
from actorium.store.names import StreamName

_PAYLOAD = b"p" * 120
_METADATA = b"m" * 80
_AGGREGATES = 1_000


async def measure_sqlite(bench: Bench) -> Figures:
    """Return the rows per second of `executemany` with a number of rows per transaction."""
    db = connect(bench)
    chance, versions = random.Random(bench.seed), [0] * _AGGREGATES
    size, rows, batches_us = bench.count("batch"), 0, 0.0
    ends = time.perf_counter() + bench.seconds()
    while not rows or time.perf_counter() < ends:
        batch = []
        for _ in range(size):
            number = chance.randrange(_AGGREGATES)
            versions[number] += 1
            batch.append((f"account-{number}", versions[number], "Paid", _PAYLOAD, _METADATA, 0))
        began = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.executemany(INSERT, batch)
        db.execute("COMMIT")
        took = time.perf_counter() - began
        bench.latencies_s.append(took)
        batches_us += took * 1e6
        rows += size
    ((found,),) = db.execute("SELECT count(*) FROM log").fetchall()
    db.close()
    if found != rows:
        raise Wrong(f"{rows} rows were written, {found} are there")
    return {"rows_per_s": rows / batches_us * 1e6, "us_per_row": batches_us / rows}


async def measure_store(bench: Bench) -> Figures:
    """Return the events per second of our store alone, with a number of commands per commit."""
    accounts = Accounts(_AGGREGATES)
    chance, store = random.Random(bench.seed), bench.store()
    size, events, batches_us, number_of = bench.count("batch"), 0, 0.0, 0
    await store.open()
    await bench.ask_durability(store)
    one = [deposited(id, 5) for id in accounts.ids]
    ends = time.perf_counter() + bench.seconds()
    while not events or time.perf_counter() < ends:
        appends = []
        for _ in range(size):
            number = chance.randrange(_AGGREGATES)
            number_of += 1
            mark = CommandMark(f"command-{number_of:024x}", number_of, fresh=True)
            stream = StreamName("Account", accounts.ids[number])
            appends.append(Append(stream, accounts.events[number], (one[number],), mark))
            accounts.events[number] += 1
        began = time.perf_counter()
        committed = await store.append(AppendBatch(round(began * 1e6), appends))
        took = time.perf_counter() - began
        refused = [one for one in committed.outcomes if type(one) is not int]
        if refused:
            raise Wrong(f"the store refused {refused[0]!r}")
        bench.latencies_s.append(took)
        batches_us += took * 1e6
        events += size
    await store.close()
    await require_log(bench.store(), {id: n for id, n in accounts.acknowledged().items() if n})
    return {"events_per_s": events / batches_us * 1e6, "us_per_event": batches_us / events}


async def measure_flush(bench: Bench) -> Figures:
    """Return the median time of a small write and its flush to the disk."""
    bench.durability = "each write flushed to the disk"
    return {"flush_ms": flush_ms(bench.folder)}


def _store_alone(name: str, question: str, batch: int) -> Scenario:
    return Scenario(
        name=name,
        question=question,
        headline="events_per_s",
        measure=measure_store,
        sizes={"batch": batch, "seconds": 2.0},
        quick={"batch": batch, "seconds": 0.3},
        subject=YARDSTICK,
        also="{us_per_event} µs per event",
    )


SCENARIOS = (
    _store_alone(
        "store-alone",
        "How many events per second does Actorium's store write, {batch} per commit? (latencies: per commit)",
        100,
    ),
    _store_alone("store-alone-1", "How many events per second does Actorium's store write, one per commit?", 1),
    Scenario(
        name="sqlite-alone",
        question="How many rows per second does SQLite alone write with `executemany`, {batch} per commit? "
        "(latencies: per commit)",
        headline="rows_per_s",
        measure=measure_sqlite,
        stores=DURABLE,
        sizes={"batch": 100, "seconds": 2.0},
        quick={"batch": 100, "seconds": 0.3},
        subject=YARDSTICK,
        beside=("100-callers",),
        label="rows by SQLite alone",
        also="{us_per_row} µs per row",
    ),
    Scenario(
        name="flush",
        question="How long does the disk take for a small write and its flush?",
        headline="flush_ms",
        measure=measure_flush,
        stores=("full",),
        sizes={},
        quick={},
        subject=YARDSTICK,
    ),
)
