"""`actorium standing-orders`: a bank's standing orders, paid month by month through a partner bank on a bad line."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.problem import INTERRUPTED, Problem, WrongUse, require_file, require_place_for
from actorium.commands.screen import Screen

_MONTHS = 12


def standing_orders(
    *,
    data: Path | None = None,
    months: Annotated[int, Parameter(validator=Number(gte=1, lte=600))] = _MONTHS,
    seed: int | None = None,
    db: Path | None = None,
) -> None:
    """Pay standing orders by durable timers, and prove that no money is lost and nothing is paid twice.

    The partner bank is simulated: it times out, rejects, and answers twice. Should this process be killed, the same
    command goes on where the log ends.

    Parameters
    ----------
    data
        A file of payment orders; without it a seeded set is paid.
    months
        How many months are simulated.
    seed
        Another seed gives another set, other balances and another partner bank.
    db
        The log, made if it is not there; the partner bank's own lies beside it. Without it, both are temporary.
    """
    from actorium.examples.bank.payment_orders import (
        DEFAULT_SEED,
        BadPaymentOrders,
        generate_payment_orders,
        read_payment_orders,
    )
    from actorium.examples.bank.standing_run import StandingOrdersRun

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
        raise WrongUse(f"{data} holds no payment orders")
    with tempfile.TemporaryDirectory(prefix="actorium-standing-orders-") as folder:
        run = StandingOrdersRun(Screen(), orders, months=months, db=db or Path(folder) / "bank.db", seed=seed)
        try:
            asyncio.run(run.run())
        except KeyboardInterrupt:
            how = "the same command goes on where the log ends" if db else "nothing is kept without --db"
            raise Problem(f"stopped by Ctrl-C; {how}", exit_code=INTERRUPTED) from None
