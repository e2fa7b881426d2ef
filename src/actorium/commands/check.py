"""`actorium check`: what an application cannot read in its log."""

from __future__ import annotations

import asyncio

from actorium.application import Runtime
from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.commands.target import Target
from actorium.inspection import require_log, unreadable
from actorium.targets import load_app


def check(app: Target, /, *, deep: bool = False, json: JsonFile = None) -> None:
    """List what the application cannot read in its log.

    The log is opened read-only and does not change: the application may be running, and a copy may be on a read-only
    disk. The exit code is 1 if anything cannot be read.

    Parameters
    ----------
    deep
        Read every event, not only the first of each shape, and let SQLite compare its indexes with its tables.
    """
    runtime = load_app(app)
    require_log(runtime)
    screen = screen_beside(json)
    found = asyncio.run(_unreadable(screen, runtime, deep=deep))
    log = runtime.store.describe()
    if json is not None:
        write_json({"log": log, "deep": deep, "unreadable": found}, json)
    if found:
        raise Problem(f"{len(found)} {'thing' if len(found) == 1 else 'things'} in the log cannot be read")
    screen.say(f"{log}: every {'event' if deep else 'type of event'} can be read")


async def _unreadable(screen: Screen, runtime: Runtime, *, deep: bool) -> list[str]:
    found = []
    async for line in unreadable(runtime, deep=deep):
        screen.say(line)
        found.append(line)
    return found
