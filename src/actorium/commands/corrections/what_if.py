"""`actorium what-if`: what would be different with other events, or with other code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from actorium.application import Runtime
from actorium.commands.corrections.reading import opened
from actorium.commands.corrections.selecting import with_object
from actorium.commands.json_report import JsonFile, screen_beside, write_text
from actorium.commands.problem import Problem, WrongUse, require_place_for_report
from actorium.commands.target import Target
from actorium.corrections.cases.correcting import command_of
from actorium.corrections.what_if.differences import WhatIf
from actorium.corrections.what_if.edits import Added, Edits
from actorium.corrections.what_if.questions import what_if as ask
from actorium.corrections.what_if.questions import with_code
from actorium.store.errors import InvalidCommand
from actorium.store.wording import counted
from actorium.user_code.targets import load_app

_LINES = 40

Several = Annotated[Sequence[str], Parameter(negative="")]


def what_if(
    app: Target,
    /,
    *,
    new: Annotated[str | None, Parameter(name="--app")] = None,
    leave_out: Several = (),
    change: Several = (),
    add: Several = (),
    allow: Several = (),
    json: JsonFile = None,
    html: Path | None = None,
) -> None:
    """Show what would be different with other events, or with other code.

    The log is read once and gone through in memory: nothing in it changes, and no effect leaves the command. Without an
    option, the command shows where the code of the application deviates from what the log recorded. The exit code is 1
    if there is a difference that is not allowed, so that a deployment can depend on it.

    Parameters
    ----------
    new
        Go through the log with the code of this application too, as module:name, and show the differences.
    leave_out
        The id of an event that did not happen, TYPE/ID/VERSION of its stream. Can be repeated.
    change
        An event with other values, as ID={"field": value}. Can be repeated.
    add
        A command that is decided after the last event, as TYPE={"to": "id", …}. Can be repeated.
    allow
        A pattern of differences that are expected, such as "state bank.account<*". Can be repeated.
    html
        Write the report to this file as an HTML page.
    """
    require_place_for_report(html)
    if new is not None and (leave_out or change or add):
        raise WrongUse("--app is about the events as they are: leave out --leave-out, --change and --add")
    runtime = load_app(app)
    edits = Edits(left_out=frozenset(leave_out), changed=_changes(change), added=_added(runtime, add))
    other = None if new is None else load_app(new)
    found = asyncio.run(_answer(runtime, edits, other, allow))
    screen = screen_beside(json)
    for line in found.lines(_LINES):
        screen.say(line)
    if json is not None:
        write_text(found.as_json().decode() + "\n", json)
    if html is not None:
        from actorium.corrections.pages.what_if_page import what_if_page

        write_text(what_if_page(found), html)
    if found.counts:
        raise Problem(f"{counted(sum(found.counts.values()), 'difference')} not allowed")


async def _answer(runtime: Runtime, edits: Edits, other: Runtime | None, allowed: Sequence[str]) -> WhatIf:
    async with opened(runtime) as store:
        if edits.events or edits.added:
            return await ask(store, runtime.catalog, edits, allowed)
        return await with_code(store, runtime.catalog, None if other is None else other.catalog, allowed)


def _changes(texts: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    return dict(with_object("--change", text) for text in texts)


def _added(runtime: Runtime, texts: Sequence[str]) -> Sequence[Added]:
    found = []
    for text in texts:
        type, fields = with_object("--add", text)
        try:
            found.append(Added(command_of(runtime.catalog, type, fields)))
        except InvalidCommand as error:
            raise WrongUse(f"--add {text}: {error}") from error
    return found
