"""`python -m actorium.examples.bank`: the bank's commands; needs the extra `cli`."""

import sys

from actorium_cli import require_extra

if __name__ == "__main__":
    require_extra()
    from actorium.examples.bank.commands import run

    sys.exit(run(sys.argv[1:]))
