"""`actorium dead-letters`: what projections and reactions could not handle, to list, try again or give up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from cyclopts import App

from actorium.commands.problem import Problem, WrongUse, require_file
from actorium.commands.screen import Screen
from actorium.inspection import load_app
from actorium.runtime.processor import Processor

dead_letters = App(name="dead-letters", help="List, try again or give up what projections and reactions have parked.")

_LIST = (
    "SELECT processor, position, stream_type || '<' || stream_id || '>', version, event_type, attempts, error, "
    "discarded FROM dead_letters ORDER BY processor, position"
)


@dead_letters.command(name="list")
def list_letters(*, db: Path) -> None:
    """Print the dead letters of a log; the application may be running.

    Parameters
    ----------
    db
        The SQLite file of the log.
    """
    require_file(db, "a log")
    try:
        connection = sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = connection.execute(_LIST).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Problem(f"{db} cannot be read as a log: {error}") from error
    screen = Screen()
    if not rows:
        screen.say("nothing is parked")
        return
    for processor, position, stream, version, event_type, attempts, why, discarded in rows:
        screen.say(f"{processor}, position {position}: {event_type} at {stream} version {version}")
        screen.say(f"  after {attempts} attempts: {why}")
        if discarded:
            screen.say(f"  given up because: {discarded}")


@dead_letters.command
def retry(app: str, /, *, processor: str, position: int | None = None) -> None:
    """Have an application deliver parked events again, and those behind them; it must not be running.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    processor
        The name of the processor, as `list` prints it.
    position
        The position of the one event; without it all are tried, in order.
    """

    async def work(found: Processor) -> str:
        done = await found.retry(position)
        return f"{done} handled, {len(found.dead_letters())} parked"

    asyncio.run(_with(app, processor, work))


@dead_letters.command
def discard(app: str, /, *, processor: str, position: int, reason: str) -> None:
    """Have an application give a parked event up and deliver those behind it; it must not be running.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    processor
        The name of the processor, as `list` prints it.
    position
        The position of the event.
    reason
        Why; it is kept.
    """

    async def work(found: Processor) -> str:
        all_handled = await found.discard(position, reason)
        return "given up, those behind it are handled" if all_handled else "given up, one behind it is parked now"

    asyncio.run(_with(app, processor, work))


async def _with(app: str, name: str, work: Callable[[Processor], Awaitable[str]]) -> None:
    async with load_app(app) as runtime:
        found = next((one for one in runtime.processors() if one.name == name), None)
        if found is None:
            names = ", ".join(repr(one.name) for one in runtime.processors()) or "none"
            raise WrongUse(f"{app} has no processor {name!r}; it has {names}")
        Screen().say(await work(found))
