"""Catch-up: a log of events through a projection that writes two statements for each of them.

`python -m actorium.benchmarks.projection --events 1000000` prints one JSON line: the rate, the memory before and after,
and what the projection holds. A run whose tables do not agree with the log is no figure: it fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import platform
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import structlog

from actorium import Event, Projection, Reader, RecordedEvent, Runtime, Transaction, on, query
from actorium.benchmarks.account import Account, Deposited
from actorium.store.event_store import Append, Batch
from actorium.store.events import EncodedEvent, StreamName, as_json
from actorium.store.sqlite import SQLiteStore

_APPENDED_AT_ONCE = 5_000


class Balances(Projection):
    """What each account holds, and how much came in at once at most."""

    schema = """
    CREATE TABLE balances (account TEXT PRIMARY KEY, balance INTEGER NOT NULL, deposits INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE amounts (amount INTEGER PRIMARY KEY, times INTEGER NOT NULL);
    """

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        """Count a deposit."""
        tx.execute(
            "INSERT INTO balances VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, "
            "deposits = deposits + 1",
            recorded.stream_id,
            event.amount,
        )
        tx.execute("INSERT INTO amounts VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1", event.amount)

    @query
    async def totals(self, db: Reader) -> tuple[int, int, int]:
        """Return the sum of all balances, the deposits, and the deposits as the other table counts them."""
        row = await db.fetch_one("SELECT sum(balance), sum(deposits), (SELECT sum(times) FROM amounts) FROM balances")
        return row or (0, 0, 0)


async def fill(path: Path, synchronous: str, events: int, streams: int) -> int:
    """Write the log past the runtime; return the sum of all amounts."""
    store = SQLiteStore(path, synchronous=synchronous)
    await store.open()
    total = written = 0
    versions = [0] * streams
    while written < events:
        appends = []
        for n in range(written, min(events, written + _APPENDED_AT_ONCE)):
            number, amount = n * 7_919 % streams, n % 997 + 1
            payload = as_json(Deposited(f"account-{number}", amount))
            event = EncodedEvent("Deposited", 1, payload, b'{"command_id":"benchmark-%d"}' % n)
            appends.append(Append(StreamName("Account", f"account-{number}"), versions[number], (event,)))
            versions[number] += 1
            total += amount
        written += len(appends)
        await store.commit(Batch(1_700_000_000_000_000, appends))
    await store.close()
    return total


async def run(path: Path, synchronous: str, events: int, total: int) -> dict[str, object]:
    """Catch up once; return the figures."""
    began_kb = _memory_kb()
    began, cpu = time.perf_counter(), time.process_time()
    halfway_kb = 0
    async with Runtime([Account, Balances], store=f"sqlite:///{path}?synchronous={synchronous}") as runtime:
        processor = runtime.processor(Balances)
        while (position := processor.statistics().position) < events:
            if position > events // 2 and not halfway_kb:
                halfway_kb = _memory_kb()
            await asyncio.sleep(0.02)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        found = await runtime.query(Balances.totals)
        if found != (total, events, events):
            raise SystemExit(f"wrong: the log holds {(total, events, events)}, the projection {found}")
    return {
        "events_per_s": round(events / wall),
        "wall_s": round(wall, 2),
        "cpu_us_per_event": round(cpu / events * 1e6, 2),
        "memory_mb_start_half_end": [round(kb / 1024) for kb in (began_kb, halfway_kb, _memory_kb())],
    }


def _memory_kb() -> int:
    """Return the memory that is held now, where the system tells; else the most that was ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize() // 1024


def main() -> None:
    """Run once and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="actorium-bench-") as folder:
        path = Path(folder) / "bench.db"
        total = asyncio.run(fill(path, args.synchronous, args.events, args.streams))
        figures = asyncio.run(run(path, args.synchronous, args.events, total))
    durability = f"sqlite {sqlite3.sqlite_version} journal_mode=wal synchronous={args.synchronous}"
    settings = {**vars(args), "python": platform.python_version()}
    sys.stdout.write(json.dumps({"durability": durability, "settings": settings, **figures}) + "\n")


if __name__ == "__main__":
    main()
