"""A projection that starts at the beginning of a full log and writes two statements, or two rows, for each event."""

from __future__ import annotations

import asyncio
import time

from actorium import Event, Key, Projection, Reader, RecordedEvent, Runtime, Table, Transaction, on, query
from actorium.benchmarks.account import Account, Deposited
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT, Accounts
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong

_STREAMS = 1_000
_LOOK_EVERY_S = 0.005
_PATIENCE_S = 300.0


_BALANCES = "CREATE TABLE balances (account TEXT PRIMARY KEY, balance INTEGER NOT NULL, deposits INTEGER NOT NULL)"
_AMOUNTS = "CREATE TABLE amounts (amount INTEGER PRIMARY KEY, times INTEGER NOT NULL)"


class Balances(Projection):
    """The balance of each account, and the number of deposits of each amount."""

    schema = {"sqlite": f"{_BALANCES} WITHOUT ROWID; {_AMOUNTS}", "postgresql": f"{_BALANCES}; {_AMOUNTS}"}

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        """Record a deposit."""
        tx.execute(
            "INSERT INTO balances VALUES (?, ?, 1) ON CONFLICT (account) DO UPDATE "
            "SET balance = balances.balance + excluded.balance, deposits = balances.deposits + 1",
            recorded.stream_id,
            event.amount,
        )
        tx.execute(
            "INSERT INTO amounts VALUES (?, 1) ON CONFLICT (amount) DO UPDATE SET times = amounts.times + 1",
            event.amount,
        )

    @query
    async def totals(self, db: Reader) -> tuple[int, int, int]:
        """Return the sum of all balances, the number of deposits, and the number according to the other table."""
        row = await db.fetch_one("SELECT sum(balance), sum(deposits), (SELECT sum(times) FROM amounts) FROM balances")
        return row or (0, 0, 0)


class AccountRow(Table):
    """An account."""

    account: Key[str]
    balance: int = 0
    deposits: int = 0


class AmountRow(Table):
    """An amount, and how often it was deposited."""

    amount: Key[int]
    times: int = 0


class BalanceRows(Projection):
    """The same tables, written as rows."""

    tables = (AccountRow, AmountRow)

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        """Record a deposit."""
        tx.add(AccountRow(recorded.stream_id, event.amount, 1))
        tx.add(AmountRow(event.amount, 1))

    @query
    async def totals(self, db: Reader) -> tuple[int, int, int]:
        """Return the sum of all balances, the number of deposits, and the number according to the other table."""
        row = await db.fetch_one(
            "SELECT sum(balance), sum(deposits), (SELECT sum(times) FROM AmountRow) FROM AccountRow"
        )
        return row or (0, 0, 0)


async def measure(bench: Bench) -> Figures:
    """Return how fast a projection with statements reaches the end of the log."""
    return await _caught_up(bench, Balances)


async def measure_rows(bench: Bench) -> Figures:
    """Return how fast a projection with rows reaches the end of the log."""
    return await _caught_up(bench, BalanceRows)


async def _caught_up(bench: Bench, projection: type[Balances] | type[BalanceRows]) -> Figures:
    per_stream = bench.count("events") // _STREAMS
    events = per_stream * _STREAMS
    store = await filled(bench, _STREAMS, per_stream)
    with bench.clock() as clock:
        async with Runtime([Account, projection], store=store) as runtime:
            processor = runtime.processors[projection]
            patience = time.perf_counter() + _PATIENCE_S
            while processor.statistics().position < events and time.perf_counter() < patience:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EVERY_S)
            await bench.ask_durability(runtime.store)
            found = await runtime.query(projection.totals)
    if found != (events * AMOUNT, events, events):
        raise Wrong(f"the log holds {(events * AMOUNT, events, events)}, the projection {found}")
    accounts = Accounts(_STREAMS, events=per_stream)
    await require_log(bench.store(), accounts.acknowledged(), filled=per_stream)
    return {"events_per_s": events / clock.wall_s, "cpu_us_per_event": clock.cpu_s / events * 1e6}


_SIZES, _QUICK = {"events": 200_000}, {"events": 20_000}
_ALSO = "CPU {cpu_us_per_event} µs per event"

SCENARIOS = (
    Scenario(
        name="catch-up",
        question="How fast does a projection process {events} events with two statements for each?",
        headline="events_per_s",
        measure=measure,
        sizes=_SIZES,
        quick=_QUICK,
        also=_ALSO,
    ),
    Scenario(
        name="catch-up-rows",
        question="How fast does a projection process {events} events with two rows for each?",
        headline="events_per_s",
        measure=measure_rows,
        sizes=_SIZES,
        quick=_QUICK,
        also=_ALSO,
    ),
)
