"""`actorium impact`: what some events of a log touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actorium.application import Runtime
from actorium.commands.corrections.reading import opened
from actorium.commands.corrections.selecting import SelectionOptions
from actorium.commands.json_report import JsonFile, screen_beside, write_text
from actorium.commands.problem import require_place_for_report
from actorium.commands.target import Target
from actorium.corrections.impact.examination import examine
from actorium.corrections.impact.report import Impact
from actorium.corrections.impact.selection import Selection
from actorium.user_code.targets import load_app

_LINES_OF_TREE = 40


def impact(
    app: Target,
    /,
    selection: SelectionOptions | None = None,
    *,
    json: JsonFile = None,
    html: Path | None = None,
) -> None:
    """Show what some events caused: events, sagas, rows, snapshots and messages.

    The log is opened read-only; the application may be running.

    Parameters
    ----------
    html
        Write the report to this file as an HTML page.
    """
    require_place_for_report(html)
    chosen = (selection or SelectionOptions()).selection()
    found = asyncio.run(_examined(load_app(app), chosen))
    screen = screen_beside(json)
    for name, number in found.counts().items():
        if number:
            screen.say(f"{number:>12,}  {name}")
    for line in found.tree(_LINES_OF_TREE):
        screen.say(line)
    if json is not None:
        write_text(found.as_json().decode() + "\n", json)
    if html is not None:
        from actorium.corrections.pages.impact_page import impact_page

        write_text(impact_page(found), html)


async def _examined(runtime: Runtime, selection: Selection) -> Impact:
    async with opened(runtime) as store:
        return await examine(store, runtime.catalog, selection, runtime.service)
