"""`actorium demo`: the demonstrations, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.problem import WrongUse
from actorium.commands.screen import Screen
from actorium.examples.bank.commands import demo as bank_demo
from actorium.store.errors import from_extra

_SEED = 1


def demo(
    what: Literal["bank", "services"] = "bank",
    /,
    *,
    data: Path | None = None,
    rows: Annotated[int | None, Parameter(validator=Number(gte=2))] = None,
    seed: int | None = None,
    db: Path | None = None,
    keep: bool = False,
    orders: Annotated[int | None, Parameter(validator=Number(gte=10))] = None,
    nats_server: str | None = None,
) -> None:
    """Import bank transactions, kill the import halfway, restart from the log, and show that nothing is lost.

    With `services`, place orders at three services on a bus, kill each of the four once, and show that each order is
    approved or undone, and that each event arrived once.

    Parameters
    ----------
    what
        The bank, or the services of a shop.
    data
        A file of transactions for the bank. Without this option, the demo generates transactions.
    rows
        How many transactions to generate. [default: 10,000]
    seed
        The seed for generating transactions or orders.
    db
        The SQLite file of the bank's log, which must not exist yet. Without this option, the log is temporary.
    keep
        Keep the temporary directory, and print its name.
    orders
        How many orders to place at the shop. [default: 2,000]
    nats_server
        The program nats-server. Without this option, it is searched beside Python and on the path.
    """
    if what == "bank":
        if orders is not None or nats_server is not None:
            raise WrongUse("--orders and --nats-server belong to `actorium demo services`")
        bank_demo(data=data, rows=rows, seed=seed, db=db, keep=keep)
        return
    if data is not None or rows is not None or db is not None:
        raise WrongUse("--data, --rows and --db belong to `actorium demo bank`")
    with from_extra("cli,fastapi,nats", "`actorium demo services`", "fastapi", "uvicorn", "nats"):
        from actorium.examples.shop.demo import DEFAULT_ORDERS, ServicesDemo
    count = DEFAULT_ORDERS if orders is None else orders
    ServicesDemo(Screen(), orders=count, seed=_SEED if seed is None else seed, keep=keep, nats_server=nats_server).run()
