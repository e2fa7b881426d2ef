"""The program `actorium`: how its commands are found, and how their errors become a message and an exit code.

It stands beside the package, not in it: importing a part of the package imports all of it, which takes longer than
`actorium --help` may. So `actorium_cli_commands` names the commands, and they are imported when they are called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from actorium_cli_commands import COMMANDS, CommandEntry, CommandGroup

if TYPE_CHECKING:
    from cyclopts import App

_OF_THE_EXTRA = {"cyclopts", "rich"}
_EXIT_CODES = (
    "Exit codes: 0 success, 1 a problem was found or the command failed, 2 wrong usage, 130 interrupted by Ctrl-C."
)


def main() -> None:
    """Carry out the command line of this process and end it with the command's exit code."""
    _order_sets_alike()
    require_extra()
    sys.exit(run(sys.argv[1:]))


def require_extra() -> None:
    """End this process with a message if the extra `cli` is not installed."""
    try:
        import cyclopts  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _OF_THE_EXTRA:
            raise
        print(
            f"The command line needs {missing.name}, which comes with the extra `cli`: pip install 'actorium[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line of `actorium`; return the exit code."""
    app = new_app("actorium", "Inspect, repair and test applications built on Actorium.")
    add_commands(app, COMMANDS, arguments)
    app.command(version)
    app.register_install_completion_command(help="Install completion for this shell.")
    return carry_out(app, arguments)


def new_app(name: str, help: str) -> App:
    """Return an app without commands."""
    from cyclopts import App

    return App(
        name=name,
        help=help,
        help_epilogue=_EXIT_CODES,
        help_format="plaintext",  # a list of commands needs no Markdown, whose parser takes 40 ms to import
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )


def add_commands(app: App, commands: Mapping[str, CommandEntry | CommandGroup], arguments: Sequence[str]) -> None:
    """Add commands to an app that are imported when they are called.

    arguments: the command line. Help on a command that it names is the whole docstring; on others it is one line.
    """
    for name, (first, second) in commands.items():
        if isinstance(second, str):
            app.command(first, name=name, help=None if name in arguments else second, help_format="markdown")
        else:
            group = new_app(name, first)
            add_commands(group, second, arguments)
            app.command(group)


def carry_out(app: App, arguments: Sequence[str]) -> int:
    """Carry out a command line of an app; return the exit code.

    One rule for all programs: `actorium.commands.problem` has it.
    """
    from cyclopts import CycloptsError

    try:
        command, bound, _ = app.parse_args(list(arguments), exit_on_error=False)
        _show_warnings()
        command(*bound.args, **bound.kwargs)
    except CycloptsError:
        return 2  # its message is printed
    except (Exception, KeyboardInterrupt) as error:
        from actorium.commands.problem import explained
        from actorium.commands.screen import Screen

        problem = explained(error)
        if problem is None:
            raise
        Screen().complain(str(problem))
        return problem.exit_code
    return 0


def version() -> None:
    """Print the version of Actorium."""
    print(f"actorium {_version()}")


def _version() -> str:
    from importlib.metadata import version as installed_version

    return installed_version("actorium")


def _show_warnings() -> None:
    """Have the runtime's log show warnings and errors, on standard error, if the command at hand imported it."""
    if "structlog" in sys.modules:
        import logging

        import structlog

        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


def _order_sets_alike() -> None:
    """Start a simulation again with hashes that are not random, so that a seed gives the same run in any process.

    The order of a set of strings depends on their hashes, which differ from process to process by default.
    """
    if sys.argv[1:2] == ["simulate"] and "PYTHONHASHSEED" not in os.environ and os.name == "posix":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    main()
