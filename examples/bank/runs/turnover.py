"""`print_turnover`: show the monthly turnover of a bank's log on a screen."""

from __future__ import annotations

from pathlib import Path

from actorium import Runtime
from actorium.commands.screen import Screen
from actorium.examples.bank.domain import Account
from actorium.examples.bank.projections import Turnover
from actorium.examples.bank.transactions import koruna
from actorium.store.sqlite import SQLiteStore
from actorium.store.wording import counted

_CATCH_UP_S = 3_600.0  # the first run reads the whole log


async def print_turnover(screen: Screen, db: Path) -> None:
    """Bring the read model up to date with the log and print it, in koruna."""
    async with Runtime([Account, Turnover], store=SQLiteStore(db)) as runtime:
        end = runtime.statistics().position
        months = await runtime.query(Turnover.months, after=end, timeout_s=_CATCH_UP_S)
        rows = [
            (month, line.purpose or "–", koruna(line.credits), koruna(line.debits))
            for month in months
            for line in await runtime.query(Turnover.of, month)
        ]
        parked = runtime.processors[Turnover].statistics().parked
    screen.table(("month", "purpose", "credits", "debits"), rows)
    screen.say(f"{counted(len(months), 'month')}, up to position {end:,} of {db}")
    if parked:
        screen.complain(f"bookings of {counted(parked, 'account')} are missing: their events could not be handled")
