"""`actorium check`: what an application cannot read in its log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from actorium.application import Runtime
from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.commands.target import Target
from actorium.inspection import require_log, still_known, unreadable
from actorium.store.wording import counted
from actorium.user_code.targets import load_app

_SHORT_LOG = 10_000  # so many events are read before anybody asks how far it is


def check(app: Target, /, *, deep: bool = False, json: JsonFile = None) -> None:
    """List everything in the log that the application cannot read, and forgotten subjects whose key still exists.

    The log is opened read-only and does not change. So the application may be running, and the log may be a copy on a
    read-only disk. The exit code is 1 if anything cannot be read.

    Parameters
    ----------
    deep
        Read every event, not only the first of each shape, and compare the indexes with the tables.
    """
    runtime = load_app(app)
    screen = screen_beside(json)
    found = asyncio.run(_unreadable(screen, runtime, deep=deep))
    log = runtime.store.describe()
    left = asyncio.run(_left(screen, runtime))
    if json is not None:
        write_json({"log": log, "deep": deep, "unreadable": found, "not_forgotten": left}, json)
    if found:
        raise Problem(f"{counted(len(found), 'item')} in the log cannot be read")
    if left:
        raise Problem(f"{counted(len(left), 'forgotten subject')} can still be read")
    screen.say(f"{log}: every {'event' if deep else 'event type'} can be read")


async def _unreadable(screen: Screen, runtime: Runtime, *, deep: bool) -> list[str]:
    found = []
    await require_log(runtime.store)
    with ExitStack() as stack:
        update: Callable[[int], None] | None = None

        def told(position: int, end: int) -> None:
            nonlocal update
            if update is None and end > _SHORT_LOG:
                update = stack.enter_context(screen.progress("reading", end))
            if update is not None:
                update(position)

        async for line in unreadable(runtime.store, runtime.catalog, deep=deep, told=told):
            screen.say(line)
            found.append(line)
    return found


async def _left(screen: Screen, runtime: Runtime) -> list[str]:
    left = []
    async for line in still_known(runtime):
        screen.say(line)
        left.append(line)
    return left
