"""`actorium status`: an application at a glance."""

from __future__ import annotations

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import print_rows
from actorium.commands.live.reach import Where, reached
from actorium.commands.problem import Problem
from actorium.console.routes import Overview
from actorium.health import Health

_SHOWN = ("acknowledged", "rejected", "failed", "refused", "in_flight", "waiting_for_room", "live_actors")


def status(*, where: Where, json: JsonFile = None) -> None:
    """Show the state of an application: its counters, its processors, its sagas and its dead letters.

    The exit code is 1 if the application runs but is not ready to work. If it does not run, the log is read.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        overview = application.get("overview", Overview)
        health = Health(True)
        if application.is_running:
            health = application.ready()
        if json is not None:
            write_json({"running": application.is_running, "ready": health, "overview": overview}, json)
        log = "running, the log" if application.is_running else "read from the log, which"
        screen.say(f"{log} ends at {overview.position}")
        for name in _SHOWN:
            if name in overview.statistics:
                screen.say(f"  {name}: {overview.statistics[name]:g}")
        screen.say(f"sagas: {', '.join(f'{count} {name}' for name, count in overview.sagas.items())}")
        screen.say(f"dead letters: {overview.dead_letters}")
        if overview.processors:
            rows = [
                (one.name, one.state, str(one.lag_events), f"{one.lag_s:.1f}", str(one.parked))
                for one in overview.processors
            ]
            print_rows(screen, ("processor", "state", "behind", "seconds", "parked"), rows, "")
        if not health.ok:
            raise Problem(f"not ready: {'; '.join(health.reasons)}")
