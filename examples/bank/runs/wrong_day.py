"""`WrongDay`: a day of wrong amounts in the bank, and the way back, step by step on a screen."""

from __future__ import annotations

from collections import Counter
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec

from actorium import Outlet, Runtime
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.corrections import Selection
from actorium.examples.bank.domain import Account, BookingCorrected, Credited, Debited
from actorium.examples.bank.importer import Importer, command_id
from actorium.examples.bank.projections import Balances, Turnover, month_of
from actorium.examples.bank.transactions import read_transactions
from actorium.examples.bank.transfers import OrderTransfer, Transfer, TransferOrder
from actorium.examples.bank.wrong_amounts import balances, plant, turnovers
from actorium.store.sqlite import SQLiteStore
from actorium.types import CloudEvent

CASE = "wrong-day"
DRY_RUN_EVENTS_MAX = 200_000  # a dry run holds the events of the whole log in memory
_CATCH_UP_S = 3_600.0
_PAGE = 1_000
_MOVED = 1_00  # hellers, by each transfer that follows
_MOVED_ON = date(1999, 1, 1)
_TRANSFERS = 19


class Subscriber:
    """Another system: what it was told, by the id of the event that was corrected."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    async def __call__(self, event: CloudEvent) -> None:
        """Take an event."""
        if event.corrects:
            self.told[event.corrects] += 1


def bank_of(db: Path, subscriber: Subscriber) -> tuple[Runtime, Outlet]:
    """Return the bank over a log, and the outlet that tells the subscriber."""
    outlet = Outlet(
        "bookings", types=[Credited, Debited, BookingCorrected], sink=subscriber, source="/bank", start="beginning"
    )
    return Runtime([Account, TransferOrder, Transfer, Balances, Turnover, outlet], store=SQLiteStore(db)), outlet


class WrongDay:
    """One walk through the whole way back; `right` holds the right amounts by transaction."""

    def __init__(self, screen: Screen, *, data: Path, db: Path, count: int) -> None:
        self._screen = screen
        self._data = data
        self._db = db
        self._count = count
        self._subscriber = Subscriber()
        self.events: dict[str, int] = {}  # the right amount by the id of the wrong event
        self._moved: Counter[str] = Counter()

    async def run(self) -> None:
        """Book the wrong amounts, correct them, and compare everything; raise Problem at a difference."""
        await self.book()
        runtime, outlet = bank_of(self._db, self._subscriber)
        async with runtime:
            end = runtime.statistics().position
            before = await log_hash(runtime, end)
            await self.plan(runtime)
            await runtime.corrections.apply(CASE)
            report = await runtime.corrections.close(CASE, by="bob")
            self._screen.say(
                f"  {report.corrected['caused events']:,} correcting events, {len(report.refused)} refused"
            )
            await self.compare(runtime, outlet)
            if await log_hash(runtime, end) != before:
                raise Problem("the log before the case has changed")
        self._screen.say("  the log before the case is unchanged")

    async def book(self) -> None:
        """Import the file with its wrong amounts; some accounts move money afterwards."""
        wrong = self._db.with_suffix(".wrong.csv")
        right = plant(self._data, wrong, self._count)
        self._screen.head("A day of wrong amounts")
        runtime, outlet = bank_of(self._db, self._subscriber)
        async with runtime:
            report = await Importer(runtime).run(read_transactions(wrong))
            commands = {command_id(id): amount for id, amount in right.items()}
            found = await runtime.corrections.impact(_booked_by(commands))
            for event in found.events:
                (record,) = await runtime.store.read_log(event.position - 1, 1)
                metadata = runtime.catalog.codec.recorded(record)[0].metadata
                self.events[event.id] = commands[metadata.command_id]
            touched = [stream.id for stream in found.streams]
            for number, (source, target) in enumerate(pairwise(touched[: _TRANSFERS + 1])):
                await runtime.send(OrderTransfer(f"t-{number}", source, target, _MOVED, _MOVED_ON))
                await runtime.sagas.get(Transfer, f"t-{number}", ended_within_s=_CATCH_UP_S)
                self._moved[source] -= _MOVED
                self._moved[target] += _MOVED
            await runtime.processors[outlet].checkpoint.reached(runtime.statistics().position)
        self._screen.say(
            f"  {report.booked:,} bookings, {len(self.events):,} of them wrong; then {_TRANSFERS} transfers"
        )

    async def plan(self, runtime: Runtime) -> None:
        """Open the case, look at its impact, plan it, try it and have it approved."""
        self._screen.head("The case")
        corrections = runtime.corrections
        await corrections.open(Selection(events=list(self.events)), by="ann", reason="amounts times ten", id=CASE)
        for name, number in (await corrections.impact_of(CASE)).counts().items():
            if number:
                self._screen.say(f"{number:>12,}  {name}")
        right = {event: {"amount": amount} for event, amount in self.events.items()}
        await corrections.plan(CASE, by="ann", right=right)
        if runtime.statistics().position <= DRY_RUN_EVENTS_MAX:
            differences = (await corrections.dry_run(CASE)).counts
            self._screen.say(f"  dry run: {', '.join(f'{number:,} {kind}' for kind, number in differences.items())}")
        await corrections.approve(CASE, by="bob")

    async def compare(self, runtime: Runtime, outlet: Outlet) -> None:
        """Compare balances, turnover and messages with what the file says; raise Problem at a difference."""
        end = runtime.statistics().position
        accounts = await self.require_balances(runtime)
        months = await runtime.query(Turnover.months, after=end, timeout_s=_CATCH_UP_S)
        lines = [(month, line) for month in months for line in await runtime.query(Turnover.of, month)]
        found = {(month, line.purpose): (line.credits, line.debits) for month, line in lines}
        sums = dict(turnovers(self._data))
        if self._moved:
            key = (month_of(_MOVED_ON), "")
            moved = _MOVED * _TRANSFERS
            credits, debits = sums.get(key, (0, 0))
            sums[key] = (credits + moved, debits + moved)
        if found != sums:
            raise Problem("turnover differs from the file")
        await runtime.processors[outlet].checkpoint.reached(end)
        if self._subscriber.told != Counter(self.events.keys()):
            raise Problem("the subscriber was not told once of each correction")
        self._screen.say(f"  {accounts:,} balances and {len(found):,} lines of turnover equal the file")
        self._screen.say(f"  the subscriber was told once of each of {len(self.events):,} corrections")

    async def require_balances(self, runtime: Runtime) -> int:
        """Raise Problem unless every balance is that of the file; return how many there are."""
        end = runtime.statistics().position
        right = balances(self._data)
        shown = {id: await runtime.query(Balances.of, id, after=end, timeout_s=_CATCH_UP_S) for id in right}
        if shown != {id: right[id] + self._moved[id] for id in right}:
            raise Problem("balances differ from the file")
        return len(shown)


def _booked_by(commands: dict[str, int]) -> Selection:
    return Selection(
        types=["bank.credited", "bank.debited"], where=lambda recorded: recorded.metadata.command_id in commands
    )


async def log_hash(runtime: Runtime, end: int) -> str:
    """Return a hash of the log up to a position, byte by byte."""
    found = sha256()
    position = 0
    while position < end:
        records = await runtime.store.read_log(position, min(_PAGE, end - position))
        found.update(msgspec.json.encode(records))
        position = records[-1].position
    return found.hexdigest()
