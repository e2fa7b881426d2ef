"""One cold aggregate with a long history brought back to life: by replaying it, and from a snapshot.

`python -m benchmarks.hydration --events 100000` prints one JSON line. Each figure is the best of several runs, each in
a runtime of its own; a run that ends in a wrong state is no figure: it fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import platform
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import structlog

from actorium import Runtime, Snapshots
from actorium.benchmarks.account import Account, Deposited
from actorium.store.codec import EventCodec
from actorium.store.event_store import Append, Batch, EventStore
from actorium.store.events import Metadata, StreamName, as_json
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

_AMOUNT = 5
_APPEND_EVENTS = 1_000


class SavedAccount(Account):
    """The same account, with snapshots."""

    stream_type = "Account"
    snapshots = Snapshots(every=200)


async def fill(store: EventStore, events: int) -> None:
    """Write a stream of so many deposits."""
    stream = StreamName("Account", "a")
    one, _ = EventCodec([Deposited]).encode(Deposited("a", _AMOUNT), as_json(Metadata("x" * 33)))
    await store.open()
    for version in range(0, events, _APPEND_EVENTS):
        part = (one,) * min(_APPEND_EVENTS, events - version)
        await store.commit(Batch(0, [Append(stream, version, part)]))
    await store.close()


async def hydrate(store: EventStore, aggregate: type[Account], events: int) -> float:
    """Return the seconds from asking a cold aggregate for its state to having it."""
    async with Runtime([aggregate], store=store) as runtime:
        began = time.perf_counter()
        state = await runtime.get(aggregate, "a")
        seconds = time.perf_counter() - began
    if state.balance != events * _AMOUNT:
        raise SystemExit(f"wrong: a balance of {state.balance} after {events} deposits of {_AMOUNT}")
    return seconds


async def run(store: EventStore, *, events: int, rounds: int) -> dict[str, object]:
    """Return the figures of one stream."""
    await fill(store, events)

    async def best(aggregate: type[Account]) -> float:
        return min([await hydrate(store, aggregate, events) for _ in range(rounds)])

    replayed_s = await best(Account)
    await hydrate(store, SavedAccount, events)  # this one replays, and leaves the snapshot that the next begin at
    snapshot_s = await best(SavedAccount)
    return {
        "events": events,
        "replay_events_per_s": round(events / replayed_s),
        "replay_ms": round(replayed_s * 1e3, 2),
        "with_snapshot_ms": round(snapshot_s * 1e3, 2),
    }


def main() -> None:
    """Run once and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("memory", "sqlite"), default="sqlite")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="actorium-bench-") as folder:
        store: EventStore = MemoryStore() if args.store == "memory" else SQLiteStore(Path(folder) / "bench.db")
        figures = asyncio.run(run(store, events=args.events, rounds=args.rounds))
        description = store.describe().replace(folder, "…")
    settings = {**vars(args), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    sys.stdout.write(json.dumps({"store": description, "settings": settings, **figures}) + "\n")


if __name__ == "__main__":
    main()
