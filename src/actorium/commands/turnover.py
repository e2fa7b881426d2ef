"""`actorium turnover`: what a bank's log has of bookings, month by month and purpose by purpose."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actorium.commands.problem import require_file, require_place_for
from actorium.commands.screen import Screen


def turnover(*, db: Path) -> None:
    """Print what was booked in each month for each purpose, from tables that follow the log.

    Parameters
    ----------
    db
        The log that `actorium import` made.
    """
    from actorium.examples.bank.turnover_run import print_turnover

    require_file(db, "a log")
    require_place_for(db)
    asyncio.run(print_turnover(Screen(), db))
