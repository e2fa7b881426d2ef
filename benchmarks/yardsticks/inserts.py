"""One row after another into PostgreSQL by asyncpg, each in a transaction of its own: a bound for one caller."""

from __future__ import annotations

import time

from actorium.benchmarks.measuring.load import WARM_UP
from actorium.benchmarks.scenario import YARDSTICK, Bench, Figures, Scenario, Wrong, server_settings
from actorium.store.urls import open_store

_TABLE = """
CREATE TABLE log (
    position bigint PRIMARY KEY, stream text NOT NULL, version bigint NOT NULL, type text NOT NULL,
    payload text NOT NULL, metadata text NOT NULL, recorded_us bigint NOT NULL, UNIQUE (stream, version)
)"""
_INSERT = "INSERT INTO log VALUES ($1, $2, $3, $4, $5, $6, $7)"
_PAYLOAD = "p" * 120
_METADATA = "m" * 80
_STREAMS = 1_000


async def measure(bench: Bench) -> Figures:
    """Return the rate of rows, each acknowledged before the next one is sent."""
    import asyncpg

    store = open_store(bench.url)
    await store.open()
    bench.durability = await server_settings(store)
    await store.close()
    connection = await asyncpg.connect(bench.url.partition("?")[0])
    await connection.execute(_TABLE)
    rows = 0

    async def insert_for(seconds: float) -> None:
        nonlocal rows
        clock, ends = time.perf_counter, time.perf_counter() + seconds
        now = 0.0
        while now < ends:
            began = clock()
            version, stream = divmod(rows, _STREAMS)
            rows += 1
            await connection.execute(
                _INSERT, rows, f"account-{stream}", version + 1, "Paid", _PAYLOAD, _METADATA, round(began * 1e6)
            )
            now = clock()
            bench.latencies_s.append(now - began)

    await insert_for(bench.seconds() * WARM_UP)
    bench.latencies_s.clear()
    with bench.clock() as clock:
        await insert_for(bench.seconds())
    found = await connection.fetchval("SELECT count(*) FROM log")
    await connection.close()
    if found != rows:
        raise Wrong(f"{rows} rows were written, {found} are there")
    measured = len(bench.latencies_s)
    return {"rows_per_s": measured / clock.wall_s, "cpu_us_per_row": clock.cpu_s / measured * 1e6}


SCENARIO = Scenario(
    name="asyncpg-alone",
    question="How many rows per second does a loop write into PostgreSQL with asyncpg, one per transaction?",
    headline="rows_per_s",
    measure=measure,
    stores=("postgresql",),
    quick_stores=("postgresql",),
    sizes={"seconds": 2.0},
    quick={"seconds": 0.4},
    subject=YARDSTICK,
    beside=("one-caller",),
    label="one-row inserts by asyncpg",
    also="CPU {cpu_us_per_row} µs per row",
)
