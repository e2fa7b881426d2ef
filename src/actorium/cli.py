"""The program `actorium`: starts the command line, or says what is missing for it."""

from __future__ import annotations

import os
import sys

_OF_THE_EXTRA = {"cyclopts", "rich"}


def main() -> None:
    """Carry out the command line of this process and end it with the command's exit code."""
    _order_sets_alike()
    try:
        from actorium.commands.app import run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _OF_THE_EXTRA:
            raise
        print(
            f"The command line needs {missing.name}, which comes with the extra `cli`: pip install 'actorium[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)  # it cannot be run as asked; problem.py, which has the rule, is behind the import
    sys.exit(run(sys.argv[1:]))


def _order_sets_alike() -> None:
    """Start a simulation anew with hashes that are not random: a seed is to stand for a run, in any process.

    The order of a set of strings depends on their hashes, which Python makes others in each process.
    """
    if sys.argv[1:2] == ["simulate"] and "PYTHONHASHSEED" not in os.environ and os.name == "posix":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    main()
