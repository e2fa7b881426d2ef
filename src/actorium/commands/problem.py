"""`Problem`: why a command line program ends with another code than 0, in words for whoever typed it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FAILED = 1
WRONG_USE = 2  # what shells and Python report for a command line that makes no sense
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


class Problem(Exception):
    """What went wrong and what to do now; `exit_code` is the program's."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupted(Problem):
    """Somebody pressed Ctrl-C; the message says how far it came and how to go on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=INTERRUPTED)


def require_file(path: Path) -> None:
    """Raise Problem unless there is a file that can be read."""
    if path.is_dir():
        raise Problem(f"{path} is a directory, not a file of transactions")
    try:
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise Problem(f"there is no file {path}") from None
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}") from None


def require_place_for(db: Path) -> None:
    """Raise Problem unless a database, and the files beside it, can be written there."""
    if db.is_dir():
        raise Problem(f"{db} is a directory: name a file for the log, such as {db / 'bank.db'}")
    folder = db.absolute().parent
    if not folder.is_dir():
        raise Problem(f"there is no directory {folder}: make it, or name another place with --db")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Problem(f"cannot write in {folder}: {error.strerror}; name another place with --db") from None
    if db.exists() and not os.access(db, os.R_OK | os.W_OK):
        raise Problem(f"cannot write {db}: permission denied; name another file with --db")
