"""`actorium dead-letters`: what projections and reactions could not handle, to list, retry or discard."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from actorium.application import Runtime
from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import report_outcomes
from actorium.commands.live.reach import Application, Reason, Where, is_served, reached
from actorium.commands.problem import Problem, WrongUse
from actorium.console.api.queries import TARGETS_MAX
from actorium.console.api.views import ActionOutcome, DeadLetterPage, DeadLetterRow, ProcessorsView
from actorium.console.control import socket_path
from actorium.runtime.processors.processor import Processor
from actorium.store.sqlite.adapter import SQLiteStore
from actorium.store.wording import counted
from actorium.user_code.targets import load_app

_NAME = "The name of the projection or reaction, or the name of its processor as printed by `list`."
ProcessorName = Annotated[str, Parameter(name="--processor", help=_NAME)]
_MODULE_AND_NAME = re.compile(r"[\w.]+:[\w.]+")
_PAGE = 500


def list_letters(*, where: Where, json: JsonFile = None) -> None:
    """List the dead letters of an application, or in the log of a stopped one."""
    screen = screen_beside(json)
    with reached(where, screen) as application:
        letters = [*_letters(application), *_letters(application, discarded="true")]
    letters.sort(key=lambda one: (one.processor, one.position))
    for letter in letters:
        screen.say(
            f"{letter.processor}, position {letter.position}: {letter.event_type} at "
            f"{letter.stream_type}<{letter.stream_id}> version {letter.version}"
        )
        screen.say(f"  after {counted(letter.attempts, 'attempt')}: {letter.error}")
        if letter.discarded:
            screen.say(f"  discarded: {letter.discarded}")
    if not letters:
        screen.say("no dead letters")
    if json is not None:
        write_json({"log": where.at, "dead_letters": letters}, json)


def _letters(application: Application, **wanted: str) -> Iterator[DeadLetterRow]:
    after_position, after_processor = 0, ""
    while True:
        page = application.get(
            "dead-letters",
            DeadLetterPage,
            **wanted,
            after_position=after_position,
            after_processor=after_processor,
            limit=_PAGE,
        )
        yield from page.dead_letters
        after_position, after_processor = page.after_position, page.after_processor
        if not after_processor:
            return


def retry(
    *,
    where: Where,
    processor: ProcessorName,
    position: int | None = None,
    reason: Reason,
    json: JsonFile = None,
) -> None:
    """Retry parked events, then handle the events waiting behind them.

    `--at` may also be `module:name`, the application itself: if it does not run, it is started for this. The exit code
    is 1 if a retried event is parked again.

    Parameters
    ----------
    position
        The position of the event to retry. Without this option, all parked events are retried in order.
    """
    place = _place(where)
    if isinstance(place, Where):
        _act_on(place, "retry", processor, position, reason, json)
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

    asyncio.run(_with(place, where.at, processor, work))


def discard(*, where: Where, processor: ProcessorName, position: int, reason: Reason, json: JsonFile = None) -> None:
    """Skip a parked event, then handle the events waiting behind it.

    `--at` may also be `module:name`, the application itself: if it does not run, it is started for this.

    Parameters
    ----------
    position
        The position of the event.
    """
    place = _place(where)
    if isinstance(place, Where):
        _act_on(place, "discard", processor, position, reason, json)
        return

    async def work(found: Processor) -> None:
        all_handled = await found.discard(position, reason)
        if json is not None:
            write_json({"processor": found.name, "discarded": position, "parked": len(found.dead_letters())}, json)
        behind = "the events behind it are handled" if all_handled else "an event behind it is now parked"
        screen_beside(json).say(f"discarded; {behind}")

    asyncio.run(_with(place, where.at, processor, work))


def _place(where: Where) -> Where | Runtime:
    """Return where the application runs; or, if `--at` names one that does not, that application, to be started."""
    if not _MODULE_AND_NAME.fullmatch(where.at) or Path(where.at).exists():
        return where
    runtime = load_app(where.at)
    if isinstance(runtime.store, SQLiteStore) and is_served(Path(runtime.store.path)):
        return Where(str(socket_path(runtime.store.path)))
    return runtime


def _act_on(where: Where, action: str, name: str, position: int | None, reason: str, json: JsonFile) -> None:
    """Act on dead letters of a running application."""
    screen = screen_beside(json)
    outcomes: list[ActionOutcome] = []
    with reached(where, screen) as application:
        application.require_running()
        processors = application.get("processors", ProcessorsView).processors
        names = [one.name for one in processors if name == one.name or name in one.name.split()]
        if len(names) != 1:
            raise WrongUse(f"there is no one processor {name!r}: there are {', '.join(one.name for one in processors)}")
        found = [one.position for one in _letters(application, processor=names[0])] if position is None else [position]
        with screen.progress(action, len(found)) as done:
            for start in range(0, len(found), TARGETS_MAX):
                targets = [{"processor": names[0], "position": one} for one in found[start : start + TARGETS_MAX]]
                outcomes += application.act(f"dead-letters/{action}", targets=targets, reason=reason).outcomes
                done(len(outcomes))
    if json is not None:
        write_json({"outcomes": outcomes}, json)
    if outcomes:
        report_outcomes(outcomes, screen)
    else:
        screen.say("no dead letters")


async def _with(stopped: Runtime, app: str, name: str, work: Callable[[Processor], Awaitable[None]]) -> None:
    async with stopped as runtime:
        await work(_found(app, [*runtime.processors.values()], name))


def _found(app: str, processors: Sequence[Processor], name: str) -> Processor:
    """Return the processor of a name: its own, or that of its projection or reaction where no other has that."""
    found = [one for one in processors if name == one.name] or [one for one in processors if name == one.plain_name]
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(one.name) for one in found or processors) or "none"
    raise WrongUse(f"{app} has {'several processors' if found else 'no processor'} {name!r}; it has {names}")
