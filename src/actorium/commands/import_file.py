"""`actorium import`: bank transactions from a file into a log, as often as you like."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from actorium.commands.problem import require_file, require_place_for
from actorium.commands.screen import Screen


def import_file(file: Path, /, *, db: Path, on_bad_row: Literal["skip", "stop"] = "skip") -> None:
    """Import a file of bank transactions; what the log has already is found there and not doubled.

    Parameters
    ----------
    file
        The file of transactions.
    db
        The log: an SQLite file, made if it is not there.
    on_bad_row
        Whether the import goes on after a row that cannot be taken, or stops there.
    """
    from actorium.examples.bank.import_run import import_into

    require_file(file, "a file of transactions")
    require_place_for(db)
    import_into(Screen(), file, db, on_bad_row=on_bad_row)
