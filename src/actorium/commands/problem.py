"""`Problem`: why a command line program ends with another code than 0, in words for whoever typed it.

One rule for all commands: 0 all is well, 1 something was found or failed, 2 it cannot be run as asked, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from actorium.store.errors import ActoriumError, ConfigurationError

FAILED = 1
WRONG_USE = 2  # what shells and Python report for a command line that makes no sense
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


class Problem(Exception):
    """What went wrong and what to do now; `exit_code` is the program's."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WrongUse(Problem):
    """It cannot be run as asked; the message says how to ask."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=WRONG_USE)


class Interrupted(Problem):
    """Somebody pressed Ctrl-C; the message says how far it came and how to go on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=INTERRUPTED)


def explained(error: BaseException) -> Problem | None:
    """Return what an error that ends a program is to whoever typed the command; None for a bug of the program."""
    match error:
        case Problem():
            return error
        case ConfigurationError():
            return WrongUse(str(error))
        case OSError(filename=str(file), strerror=str(reason)):
            return Problem(f"{file}: {reason}")
        case ActoriumError() | OSError():
            return Problem(str(error))
        case KeyboardInterrupt():
            return Interrupted("interrupted")
    return None


def require_file(path: Path, what: str) -> None:
    """Raise WrongUse unless the file can be read; the message says `what` it should be."""
    if path.is_dir():
        raise WrongUse(f"{path} is a directory, not {what}")
    try:
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise WrongUse(f"there is no file {path}") from None
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror}") from None


def require_place_for_report(file: Path | None) -> None:
    """Raise WrongUse unless a report can be written there, if one is asked for: better now than after the work.

    `-` is standard output, for reports that can go there.
    """
    if file is None or file == Path("-"):
        return
    if file.is_dir():
        raise WrongUse(f"{file} is a directory: name a file for the report")
    try:
        with tempfile.TemporaryFile(dir=file.absolute().parent):
            pass
    except OSError as error:
        raise WrongUse(f"cannot write to {file.absolute().parent}: {error.strerror}") from None


def require_place_for(db: Path) -> None:
    """Raise WrongUse unless a database, and the files beside it, can be written there."""
    if db.is_dir():
        raise WrongUse(f"{db} is a directory: name a file for the log, such as {db / 'bank.db'}")
    folder = db.absolute().parent
    if not folder.is_dir():
        raise WrongUse(f"there is no directory {folder}: create it, or name another place with --db")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WrongUse(f"cannot write to {folder}: {error.strerror}; name another place with --db") from None
    if db.exists() and not os.access(db, os.R_OK | os.W_OK):
        raise WrongUse(f"cannot write {db}: permission denied; name another file with --db")
