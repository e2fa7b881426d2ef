"""`actorium dead-letters`: what projections and reactions could not handle, to list, retry or discard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import report_action
from actorium.commands.live.reach import RunningApplication, is_served
from actorium.commands.problem import Problem, WrongUse, require_file
from actorium.commands.target import Target
from actorium.console.api.queries import TARGETS_MAX
from actorium.console.api.views import DeadLetterPage, ProcessorsView
from actorium.runtime.processors.processor import Processor
from actorium.store.event_store import DeadLetter
from actorium.store.sqlite.adapter import SQLiteStore
from actorium.store.urls import file_store
from actorium.store.wording import counted
from actorium.user_code.targets import load_app

_NAME = "The name of the projection or reaction, or the name of its processor as printed by `list`."
ProcessorName = Annotated[str, Parameter(help=_NAME)]


class ListedLetter(msgspec.Struct, frozen=True):
    """A dead letter as it is listed; `discarded` is the reason why it was, else empty."""

    processor: str
    position: int
    stream: str
    version: int
    event_type: str
    attempts: int
    error: str
    discarded: str


def list_letters(*, db: Path, json: JsonFile = None) -> None:
    """List the dead letters in a log.

    The log is opened read-only; the application may be running.

    Parameters
    ----------
    db
        The SQLite file of the log.
    """
    require_file(db, "a log")
    found = asyncio.run(_letters(db))
    letters = [_listed(one) for one in sorted(found, key=lambda one: (one.processor, one.position))]
    screen = screen_beside(json)
    for letter in letters:
        screen.say(
            f"{letter.processor}, position {letter.position}: {letter.event_type} at {letter.stream} "
            f"version {letter.version}"
        )
        screen.say(f"  after {counted(letter.attempts, 'attempt')}: {letter.error}")
        if letter.discarded:
            screen.say(f"  discarded: {letter.discarded}")
    if not letters:
        screen.say("no dead letters")
    if json is not None:
        write_json({"log": str(db), "dead_letters": letters}, json)


def _listed(letter: DeadLetter) -> ListedLetter:
    return ListedLetter(
        processor=letter.processor,
        position=letter.position,
        stream=str(letter.stream),
        version=letter.version,
        event_type=letter.event_type,
        attempts=letter.attempts,
        error=letter.error,
        discarded=letter.discarded,
    )


async def _letters(db: Path) -> list[DeadLetter]:
    store = file_store(db)
    await store.open(verified=False, read_only=True)
    try:
        return await store.dead_letters(None)
    finally:
        await store.close()


def retry(
    app: Target,
    /,
    *,
    processor: ProcessorName,
    position: int | None = None,
    reason: str = "retried from the command line",
    json: JsonFile = None,
) -> None:
    """Retry parked events, then handle the events waiting behind them.

    If the application runs and serves its control socket, it does this. Otherwise this starts the application, which
    must not be running already. The exit code is 1 if a retried event is parked again.

    Parameters
    ----------
    position
        The position of the event to retry. Without this option, all parked events are retried in order.
    reason
        Why; a running application records it.
    """
    if (served := _served(app)) is not None:
        _act_on(served, "retry", processor, position, reason, json)
        return

    async def work(found: Processor) -> None:
        done = await found.retry(position)
        left = len(found.dead_letters())
        if json is not None:
            write_json({"processor": found.name, "handled": done, "parked": left}, json)
        said = f"{done} handled, {left} parked"
        if left and (position is None or not done):
            raise Problem(said)
        screen_beside(json).say(said)

    asyncio.run(_with(app, processor, work))


def discard(app: Target, /, *, processor: ProcessorName, position: int, reason: str, json: JsonFile = None) -> None:
    """Skip a parked event, then handle the events waiting behind it.

    If the application runs and serves its control socket, it does this. Otherwise this starts the application, which
    must not be running already.

    Parameters
    ----------
    position
        The position of the event.
    reason
        Why the event is skipped; it is stored with the dead letter.
    """
    if (served := _served(app)) is not None:
        _act_on(served, "discard", processor, position, reason, json)
        return

    async def work(found: Processor) -> None:
        all_handled = await found.discard(position, reason)
        if json is not None:
            write_json({"processor": found.name, "discarded": position, "parked": len(found.dead_letters())}, json)
        behind = "the events behind it are handled" if all_handled else "an event behind it is now parked"
        screen_beside(json).say(f"discarded; {behind}")

    asyncio.run(_with(app, processor, work))


def _served(app: str) -> Path | None:
    """Return the log of an application that runs and serves its control socket; None for any other."""
    store = load_app(app).store
    return Path(store.path) if isinstance(store, SQLiteStore) and is_served(Path(store.path)) else None


def _act_on(db: Path, action: str, name: str, position: int | None, reason: str, json: JsonFile) -> None:
    """Act on dead letters of a running application."""
    application = RunningApplication(db)
    processors = application.get("processors", ProcessorsView).processors
    names = [one.name for one in processors if name == one.name or name in one.name.split()]
    if len(names) != 1:
        raise WrongUse(f"{db} has no one processor {name!r}; it has {', '.join(one.name for one in processors)}")
    if position is not None:
        positions = [position]
    else:
        page = application.get("dead-letters", DeadLetterPage, processor=names[0], limit=TARGETS_MAX)
        positions = [letter.position for letter in page.dead_letters]
    if not positions:
        screen_beside(json).say("no dead letters")
        return
    targets = [{"processor": names[0], "position": one} for one in positions]
    report_action(application.act(f"dead-letters/{action}", targets=targets, reason=reason), json)


async def _with(app: str, name: str, work: Callable[[Processor], Awaitable[None]]) -> None:
    async with load_app(app) as runtime:
        await work(_found(app, [*runtime.processors.values()], name))


def _found(app: str, processors: Sequence[Processor], name: str) -> Processor:
    """Return the processor of a name: its own, or that of its projection or reaction where no other has that."""
    found = [one for one in processors if name == one.name] or [one for one in processors if name == one.plain_name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(one.name) for one in found or processors) or "none"
    raise WrongUse(f"{app} has {'several processors' if found else 'no processor'} {name!r}; it has {names}")
