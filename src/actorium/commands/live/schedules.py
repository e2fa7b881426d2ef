"""`actorium schedules`: the schedules of a running application: list, pause, resume or run them now."""

from __future__ import annotations

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import print_rows, report_action, when
from actorium.commands.live.reach import Reason, Where, reached
from actorium.console.api.deployment import SchedulesView


def list_schedules(*, where: Where, json: JsonFile = None) -> None:
    """List the schedules of a running application, with the next time of each."""
    screen = screen_beside(json)
    with reached(where, screen) as application:
        found = application.get("schedules", SchedulesView)
    if json is not None:
        write_json(found, json)
    rows = [
        (
            one.name,
            one.every,
            one.time_zone,
            "paused" if one.paused else when(one.next_due),
            when(one.last_fired),
            one.reason or one.error,
        )
        for one in found.schedules
    ]
    print_rows(screen, ("name", "when", "time zone", "next", "last", "reason or error"), rows, "no schedules")


def pause(names: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Let schedules fire no more until they are resumed, also after a restart.

    Parameters
    ----------
    names
        The names of the schedules.
    """
    _act("pause", names, where, reason, json)


def resume(names: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Let paused schedules fire again.

    Parameters
    ----------
    names
        The names of the schedules.
    """
    _act("resume", names, where, reason, json)


def run_now(names: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Submit the commands of schedules once more, now.

    Parameters
    ----------
    names
        The names of the schedules.
    """
    _act("run-now", names, where, reason, json)


def _act(action: str, names: list[str], where: Where, reason: str, json: JsonFile) -> None:
    with reached(where, screen_beside(json)) as application:
        report_action(application.act(f"schedules/{action}", names=names, reason=reason), json)
