"""`python -m actorium.examples.bank`: the commands of the bank."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import structlog
from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.problem import Interrupted, WrongUse, require_file, require_place_for
from actorium.commands.screen import Screen
from actorium.examples.bank.generate import generate
from actorium.examples.bank.payment_orders import (
    DEFAULT_SEED,
    BadPaymentOrders,
    generate_payment_orders,
    read_payment_orders,
)
from actorium.examples.bank.runs import PROGRAM
from actorium.examples.bank.runs.demo import Demo
from actorium.examples.bank.runs.imports import import_into
from actorium.examples.bank.runs.standing_orders import StandingOrdersRun
from actorium.examples.bank.runs.turnover import print_turnover
from actorium.examples.bank.runs.wrong_day import WrongDay
from actorium_cli import carry_out, new_app

_MONTHS = 12
_WRONG_DAY_ROWS, _WRONG_DAY_ACCOUNTS = 4_000, 230


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line of the bank; return the exit code."""
    app = new_app(" ".join(PROGRAM), "A bank on an event log: import its transactions, and pay its standing orders.")
    app.command(demo, help_format="markdown")
    app.command(import_file, name="import", help_format="markdown")
    app.command(turnover, help_format="markdown")
    app.command(standing_orders, help_format="markdown")
    app.command(wrong_day, help_format="markdown")
    return carry_out(app, arguments)


def demo(
    *,
    data: Path | None = None,
    rows: Annotated[int | None, Parameter(validator=Number(gte=2))] = None,
    seed: int | None = None,
    db: Path | None = None,
    keep: bool = False,
) -> None:
    """Import bank transactions, kill the import halfway, restart from the log, and show that nothing is lost.

    Parameters
    ----------
    data
        A file of transactions. Without this option, the demo generates transactions.
    rows
        How many transactions to generate. [default: 10,000]
    seed
        The seed for generating transactions.
    db
        The SQLite file of the log, which must not exist yet. Without this option, the log is temporary.
    keep
        Keep the temporary directory, and print its name.
    """
    if data is not None:
        if rows is not None or seed is not None:
            raise WrongUse("--rows and --seed describe generated transactions: leave them out with --data")
        require_file(data, "a file of transactions")
    if db is not None:
        require_place_for(db)
        if db.exists():
            raise WrongUse(f"{db} already exists: the demo starts with an empty log, so name a new file with --db")
    Demo(Screen(), data=data, rows=rows, seed=seed, db=db, keep=keep).run()


def import_file(file: Path, /, *, db: Path, on_bad_row: Literal["skip", "stop"] = "skip") -> None:
    """Import a file of bank transactions, except those that are already in the log.

    Parameters
    ----------
    file
        The file of transactions.
    db
        The SQLite file of the log, created if it does not exist.
    on_bad_row
        Whether to skip a row that cannot be imported, or to stop there.
    """
    require_file(file, "a file of transactions")
    require_place_for(db)
    import_into(Screen(), file, db, on_bad_row=on_bad_row)


def turnover(*, db: Path) -> None:
    """Print each month's transactions by purpose, from a read model that follows the log.

    Parameters
    ----------
    db
        The SQLite file of a log written by `import`.
    """
    require_file(db, "a log")
    require_place_for(db)
    asyncio.run(print_turnover(Screen(), db))


def standing_orders(
    *,
    data: Path | None = None,
    months: Annotated[int, Parameter(validator=Number(gte=1, lte=600))] = _MONTHS,
    seed: int | None = None,
    db: Path | None = None,
) -> None:
    """Pay standing orders with durable timers, and check that no money is lost and no order is paid twice.

    The partner bank is simulated: it times out, rejects payments, and answers twice. If this process is killed, the
    same command continues from the end of the log.

    Parameters
    ----------
    data
        A file of payment orders. Without this option, the orders are generated.
    months
        How many months to simulate.
    seed
        The seed for the generated orders, the balances and the partner bank.
    db
        The SQLite file of the log, created if it does not exist. The partner bank's log is beside it. Without this
        option, both are temporary.
    """
    seed = DEFAULT_SEED if seed is None else seed
    if data is not None:
        require_file(data, "a file of payment orders")
    if db is not None:
        require_place_for(db)
    try:
        orders = generate_payment_orders(seed=seed) if data is None else read_payment_orders(data)
    except (BadPaymentOrders, UnicodeDecodeError) as error:
        raise WrongUse(str(error)) from None
    if not orders:
        raise WrongUse(f"{data} has no payment orders")
    # The partner bank fails on purpose and the clock is simulated: warnings would only repeat that.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with tempfile.TemporaryDirectory(prefix="actorium-standing-orders-") as folder:
        run = StandingOrdersRun(Screen(), orders, months=months, db=db or Path(folder) / "bank.db", seed=seed)
        try:
            asyncio.run(run.run())
        except KeyboardInterrupt:
            how = "the same command continues from the end of the log" if db else "without --db, nothing is kept"
            raise Interrupted(f"stopped by Ctrl-C; {how}") from None


def wrong_day(
    *,
    data: Path | None = None,
    count: Annotated[int, Parameter(validator=Number(gte=20))] = 400,
    db: Path | None = None,
) -> None:
    """Book a day of wrong amounts, correct them with a case, and compare everything with the file.

    Parameters
    ----------
    data
        A file of transactions. Without this option, the transactions are generated.
    count
        How many amounts of the busiest day are wrong.
    db
        The SQLite file of the log, which must not exist yet. Without this option, the log is temporary.
    """
    if data is not None:
        require_file(data, "a file of transactions")
    if db is not None:
        require_place_for(db)
        if db.exists():
            raise WrongUse(f"{db} already exists: name a new file with --db")
    with tempfile.TemporaryDirectory(prefix="actorium-wrong-day-") as folder:
        file = data or Path(folder) / "transactions.csv"
        if data is None:
            generate(file, rows=_WRONG_DAY_ROWS, accounts=_WRONG_DAY_ACCOUNTS)
        try:
            asyncio.run(WrongDay(Screen(), data=file, db=db or Path(folder) / "bank.db", count=count).run())
        except ValueError as error:
            raise WrongUse(str(error)) from None
