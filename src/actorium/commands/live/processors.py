"""`actorium processors`: the processors of a running application: list, pause, resume, reset and rebuild them."""

from __future__ import annotations

import time

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import print_rows, report_action, report_outcomes
from actorium.commands.live.reach import Application, Reason, Where, reached
from actorium.commands.problem import Problem
from actorium.console.api.views import ProcessorsView, ProcessorView

_POLL_S = 0.2


def list_processors(*, where: Where, json: JsonFile = None) -> None:
    """List the processors of a running application, with how far they are behind."""
    screen = screen_beside(json)
    with reached(where, screen) as application:
        view = application.get("processors", ProcessorsView)
    if json is not None:
        write_json(view, json)
    rows = [
        (one.name, one.kind, one.state, str(one.lag_events), f"{one.lag_s:.1f}", str(one.parked), one.error)
        for one in view.processors
    ]
    print_rows(screen, ("name", "kind", "state", "behind", "seconds", "parked", "error"), rows, "no processors")


def pause(names: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Stop delivering events to processors until they are resumed, or the application restarts.

    Parameters
    ----------
    names
        The names of the processors, as `list` prints them.
    """
    with reached(where, screen_beside(json)) as application:
        report_action(application.act("processors/pause", names=names, reason=reason), json)


def resume(names: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Continue processors that were paused, or that stopped at a failure.

    Parameters
    ----------
    names
        The names of the processors, as `list` prints them.
    """
    with reached(where, screen_beside(json)) as application:
        report_action(application.act("processors/resume", names=names, reason=reason), json)


def reset(names: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Start processors over from the first event, and return at once.

    Parameters
    ----------
    names
        The names of the processors, as `list` prints them.
    """
    with reached(where, screen_beside(json)) as application:
        report_action(application.act("processors/reset", names=names, reason=reason), json)


def rebuild(name: str, /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Start a processor over from the first event, and wait until it has caught up.

    Parameters
    ----------
    name
        The name of the processor, as `list` prints it.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        report_outcomes(application.act("processors/reset", names=[name], reason=reason).outcomes, screen)
        first = _processor(application, name)
        end = first.position + first.lag_events
        with screen.progress("events", end) as done:
            while (now := _processor(application, name)).position < end:
                if now.state in ("failed", "stopped", "full", "paused"):
                    raise Problem(f"{name} is {now.state} at {now.position}: {now.error}")
                done(now.position)
                time.sleep(_POLL_S)
            done(end)
    if json is not None:
        write_json(now, json)


def _processor(application: Application, name: str) -> ProcessorView:
    found = application.get("processors", ProcessorsView).processors
    return next(one for one in found if one.name == name)
