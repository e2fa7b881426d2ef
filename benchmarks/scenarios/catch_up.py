"""A projection that starts at the beginning of a full log and executes two statements for each event."""

from __future__ import annotations

import asyncio
import time

from actorium import Event, Projection, Reader, RecordedEvent, Runtime, Transaction, on, query
from actorium.benchmarks.account import Account, Deposited
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_STREAMS = 1_000
_LOOK_EVERY_S = 0.005
_PATIENCE_S = 300.0


class Balances(Projection):
    """The balance of each account, and the number of deposits of each amount."""

    schema = """
    CREATE TABLE balances (account TEXT PRIMARY KEY, balance INTEGER NOT NULL, deposits INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE amounts (amount INTEGER PRIMARY KEY, times INTEGER NOT NULL);
    """

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        """Record a deposit."""
        tx.execute(
            "INSERT INTO balances VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, "
            "deposits = deposits + 1",
            recorded.stream_id,
            event.amount,
        )
        tx.execute("INSERT INTO amounts VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1", event.amount)

    @query
    async def totals(self, db: Reader) -> tuple[int, int, int]:
        """Return the sum of all balances, the number of deposits, and the number according to the other table."""
        row = await db.fetch_one("SELECT sum(balance), sum(deposits), (SELECT sum(times) FROM amounts) FROM balances")
        return row or (0, 0, 0)


async def measure(bench: Bench) -> Figures:
    """Return how fast the projection reaches the end of the log."""
    per_stream = bench.count("events") // _STREAMS
    events = per_stream * _STREAMS
    store = await filled(bench, _STREAMS, per_stream)
    with bench.clock() as clock:
        async with Runtime([Account, Balances], store=store) as runtime:
            processor = runtime.processors[Balances]
            patience = time.perf_counter() + _PATIENCE_S
            while processor.statistics().position < events and time.perf_counter() < patience:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EVERY_S)
            await bench.ask_durability(runtime.store)
            found = await runtime.query(Balances.totals)
    if found != (events * AMOUNT, events, events):
        raise Wrong(f"the log holds {(events * AMOUNT, events, events)}, the projection {found}")
    accounts = Accounts(_STREAMS, events=per_stream)
    await require_log(bench.store(), accounts.acknowledged(), filled=per_stream)
    return {"events_per_s": events / clock.wall_s, "cpu_us_per_event": clock.cpu_s / events * 1e6}


SCENARIO = Scenario(
    name="catch-up",
    question="How fast does a projection process {events} events with two statements for each?",
    headline="events_per_s",
    measure=measure,
    sizes={"events": 200_000},
    quick={"events": 20_000},
    also="CPU {cpu_us_per_event} µs per event",
)
