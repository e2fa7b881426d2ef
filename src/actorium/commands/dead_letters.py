"""`actorium dead-letters`: what projections and reactions could not handle, to list, retry or discard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from cyclopts import App

from actorium.commands.problem import Problem, WrongUse, require_file
from actorium.commands.screen import Screen
from actorium.inspection import load_app
from actorium.runtime.processors.processor import Processor
from actorium.store.sqlite import SQLiteStore

dead_letters = App(name="dead-letters", help="List, retry or discard what projections and reactions have parked.")

_LIST = (
    "SELECT processor, position, stream_type || '<' || stream_id || '>', version, event_type, attempts, error, "
    "discarded FROM dead_letters ORDER BY processor, position"
)


@dead_letters.command(name="list")
def list_letters(*, db: Path) -> None:
    """Print the dead letters of a log, which is read only; the application may be running.

    Parameters
    ----------
    db
        The SQLite file of the log.
    """
    require_file(db, "a log")
    rows = asyncio.run(_rows(db))
    screen = Screen()
    if not rows:
        screen.say("nothing is parked")
        return
    for processor, position, stream, version, event_type, attempts, why, discarded in rows:
        screen.say(f"{processor}, position {position}: {event_type} at {stream} version {version}")
        screen.say(f"  after {attempts} attempts: {why}")
        if discarded:
            screen.say(f"  discarded: {discarded}")


async def _rows(db: Path) -> list[tuple[Any, ...]]:
    store = SQLiteStore(db)
    await store.open(verified=False, read_only=True)
    try:
        return await store.query(_LIST, ())
    finally:
        await store.close()


@dead_letters.command
def retry(app: str, /, *, processor: str, position: int | None = None) -> None:
    """Have an application deliver parked events again, and those behind them; it must not be running.

    The exit code is 1 if what was tried is parked again.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    processor
        The name of the projection or reaction, or the processor's as `list` prints it.
    position
        The position of the one event; without it all are tried, in order.
    """

    async def work(found: Processor) -> None:
        done = await found.retry(position)
        left = len(found.dead_letters())
        said = f"{done} handled, {left} parked"
        if left and (position is None or not done):
            raise Problem(said)
        Screen().say(said)

    asyncio.run(_with(app, processor, work))


@dead_letters.command
def discard(app: str, /, *, processor: str, position: int, reason: str) -> None:
    """Have an application leave a parked event out and deliver those behind it; it must not be running.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    processor
        The name of the projection or reaction, or the processor's as `list` prints it.
    position
        The position of the event.
    reason
        Why; it is kept.
    """

    async def work(found: Processor) -> None:
        all_handled = await found.discard(position, reason)
        behind = "those behind it are handled" if all_handled else "one behind it is parked now"
        Screen().say(f"discarded, {behind}")

    asyncio.run(_with(app, processor, work))


async def _with(app: str, name: str, work: Callable[[Processor], Awaitable[None]]) -> None:
    async with load_app(app) as runtime:
        await work(_found(app, runtime.processors(), name))


def _found(app: str, processors: Sequence[Processor], name: str) -> Processor:
    """Return the processor of a name: its own, or that of its projection or reaction where no other has that."""
    found = [one for one in processors if name == one.name] or [one for one in processors if name == one.plain_name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(one.name) for one in found or processors) or "none"
    raise WrongUse(f"{app} has {'several processors' if found else 'no processor'} {name!r}; it has {names}")
