"""Logs filled before the clock starts: written without the runtime, and only once for all rounds of a suite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice

from actorium.benchmarks.account import Account, Deposited
from actorium.benchmarks.databases import Databases
from actorium.benchmarks.measuring.load import AMOUNT
from actorium.benchmarks.scenario import Bench
from actorium.store.codec import EventCodec
from actorium.store.event_store import Append, AppendBatch, EventStore
from actorium.store.events import EncodedEvent, Metadata, as_json
from actorium.store.names import StreamName
from actorium.store.sqlite import SQLiteStore
from actorium.store.urls import open_store

_APPENDS_AT_ONCE = 5_000
_ONE_STREAM_AT_ONCE = 1_000
_T0_US = 1_700_000_000_000_000


async def filled(bench: Bench, aggregates: int, events: int) -> EventStore:
    """Return the run's store, closed, with `events` events for each of `account-0` … `account-N`.

    The streams are interleaved in the log, as they are when many aggregates are active at once.
    """
    if bench.databases is not None:
        await _fill_database(bench, bench.databases, aggregates, events)
        return bench.store()
    if not bench.is_file:
        store = bench.store()
        await fill(store, aggregates, events)
        return store
    prepared = bench.shared / f"filled-{aggregates}-{events}.db"
    if not prepared.exists():
        unfinished = prepared.with_suffix(".part")
        # The log is deleted with the suite and read only after it is closed, so flushes are unnecessary.
        await fill(SQLiteStore(unfinished, synchronous="OFF"), aggregates, events)
        unfinished.rename(prepared)
    shutil.copyfile(prepared, bench.path)
    return bench.store()


async def _fill_database(bench: Bench, databases: Databases, aggregates: int, events: int) -> None:
    prepared = f"filled_{aggregates}_{events}"
    if not await databases.exists(prepared):
        unfinished = f"{prepared}_part"
        await databases.create(unfinished)
        await fill(open_store(f"{databases.url(unfinished)}&synchronous_commit=off"), aggregates, events)
        await databases.finish(unfinished, prepared)
    await bench.prepare(prepared)


async def fill(store: EventStore, aggregates: int, events: int) -> None:
    """Do what `filled` does, to a store of one's own."""
    await store.open()
    try:
        appends = _long(events) if aggregates == 1 else _many(aggregates, events)
        size = 1 if aggregates == 1 else _APPENDS_AT_ONCE
        while batch := list(islice(appends, size)):
            await store.append(AppendBatch(_T0_US, batch))
    finally:
        await store.close()


def _many(aggregates: int, events: int) -> Iterator[Append]:
    one = [deposited(f"account-{number}", AMOUNT) for number in range(aggregates)]
    streams = [StreamName(Account.__name__, f"account-{number}") for number in range(aggregates)]
    for version in range(events):
        for stream, event in zip(streams, one, strict=True):
            yield Append(stream, version, (event,))


def _long(events: int) -> Iterator[Append]:
    event = deposited("account-0", AMOUNT)
    for version in range(0, events, _ONE_STREAM_AT_ONCE):
        part = (event,) * min(_ONE_STREAM_AT_ONCE, events - version)
        yield Append(StreamName(Account.__name__, "account-0"), version, part)


def deposited(account: str, amount: int) -> EncodedEvent:
    """Return a deposit as stored in the log, with metadata of the usual size."""
    event, _ = _CODEC.encode(Deposited(account, amount), _METADATA)
    return event


_CODEC = EventCodec([Deposited])
_METADATA = as_json(Metadata("x" * 33))
