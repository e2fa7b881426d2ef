"""The command line: which commands there are, and how whatever ends them becomes a message and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version

import structlog
from cyclopts import App, CycloptsError

from actorium.commands.bench import bench
from actorium.commands.bit_rot import bit_rot
from actorium.commands.crash import crash
from actorium.commands.dead_letters import dead_letters
from actorium.commands.demo import demo
from actorium.commands.import_file import import_file
from actorium.commands.inspect_app import asyncapi, check, graph, schema
from actorium.commands.power_loss import power_loss
from actorium.commands.problem import FAILED, INTERRUPTED, WRONG_USE, Problem
from actorium.commands.repair import repair
from actorium.commands.screen import Screen
from actorium.commands.simulate import simulate
from actorium.commands.standing_orders import standing_orders
from actorium.commands.turnover import turnover
from actorium.store.errors import ActoriumError, ConfigurationError

_EXIT_CODES = "Exit codes: 0 all is well, 1 something was found or failed, 2 it cannot be run as asked, 130 Ctrl-C."


def version() -> None:
    """Print the version of Actorium."""
    Screen().say(f"actorium {_version()}")


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; return the exit code."""
    # The runtime's log belongs to the application; this one shows what needs somebody's attention.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    app = App(
        name="actorium",
        help="Event-sourced actors and sagas inside an asyncio app.",
        help_epilogue=_EXIT_CODES,
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    app.command(demo)
    app.command(import_file, name="import")
    app.command(turnover)
    app.command(standing_orders)
    app.command(check)
    app.command(repair)
    app.command(dead_letters)
    app.command(schema)
    app.command(asyncapi)
    app.command(graph)
    app.command(bench)
    app.command(simulate)
    app.command(crash)
    app.command(power_loss)
    app.command(bit_rot)
    app.command(version)
    screen = Screen()
    try:
        app(list(arguments), exit_on_error=False)
    except CycloptsError:
        return WRONG_USE  # it has been said
    except Problem as problem:
        screen.complain(str(problem))
        return problem.exit_code
    except ConfigurationError as error:
        screen.complain(str(error))
        return WRONG_USE
    except (ActoriumError, OSError) as error:
        screen.complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        screen.complain("interrupted")
        return INTERRUPTED
    return 0


def _version() -> str:
    return installed_version("actorium")
