"""The program `actorium`: starts the command line, or says what is missing for it."""

from __future__ import annotations

import sys

_OF_THE_EXTRA = {"cyclopts", "rich"}


def main() -> None:
    """Carry out the command line of this process and end it with the command's exit code."""
    try:
        from actorium.commands.app import run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _OF_THE_EXTRA:
            raise
        print(
            f"The command line needs {missing.name}, which comes with the extra `cli`: pip install 'actorium[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
