"""`actorium demo`: a bank that is killed in the middle of its work and forgets nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.problem import WrongUse, require_file, require_place_for
from actorium.commands.screen import Screen


def demo(
    *,
    data: Path | None = None,
    rows: Annotated[int | None, Parameter(validator=Number(gte=2))] = None,
    seed: int | None = None,
    db: Path | None = None,
    keep: bool = False,
) -> None:
    """Import bank transactions, kill the import half-way, restart from the log, and show that nothing is lost.

    Parameters
    ----------
    data
        A file of transactions; without it the demo writes itself a seeded set.
    rows
        How many transactions the seeded set has. [default: 10,000]
    seed
        Another seed gives another set.
    db
        Where the log is written, and stays; without it, in a temporary directory that is removed afterwards.
    keep
        Keep the temporary directory and say where it is.
    """
    from actorium.examples.bank.demo import Demo

    if data is not None:
        if rows is not None or seed is not None:
            raise WrongUse("--rows and --seed are for the set that the demo writes itself: leave them out with --data")
        require_file(data, "a file of transactions")
    if db is not None:
        require_place_for(db)
        if db.exists():
            raise WrongUse(f"{db} exists already: the demo begins with an empty log, so name a new file with --db")
    Demo(Screen(), data=data, rows=rows, seed=seed, db=db, keep=keep).run()
