"""`actorium impact`: what some events of a log touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import structs

from actorium.application import Runtime
from actorium.commands.corrections.reading import opened
from actorium.commands.corrections.selecting import SelectionOptions, chosen_events
from actorium.commands.json_report import JsonFile, screen_beside, write_json, write_text
from actorium.commands.live.output import print_impact
from actorium.commands.live.reach import Where, reached
from actorium.commands.problem import WrongUse, require_place_for_report
from actorium.commands.target import Target
from actorium.console.cases.forms import ImpactView
from actorium.corrections.impact.examination import examine
from actorium.corrections.impact.report import Impact
from actorium.corrections.impact.selection import Selection
from actorium.user_code.targets import load_app

_LINES_OF_TREE = 40


def impact(
    app: Target | None = None,
    /,
    selection: SelectionOptions | None = None,
    *,
    where: Where | None = None,
    json: JsonFile = None,
    html: Path | None = None,
) -> None:
    """Show what some events caused: events, sagas, rows, snapshots and messages.

    Give the application's code to have its log opened read-only; the application may be running. Give --at for a
    running application, which also asks the services around it.

    Parameters
    ----------
    html
        Write the report to this file as an HTML page.
    """
    if (app is None) == (where is None):
        raise WrongUse("give either the application's code, as module:name, or --at for one that is running")
    if where is not None:
        if html is not None:
            raise WrongUse("--html needs the application's code in place of --at")
        _ask(where, selection or SelectionOptions(), json)
        return
    assert app is not None, "one of the two was given"
    require_place_for_report(html)
    chosen = (selection or SelectionOptions()).selection()
    found = asyncio.run(_examined(load_app(app), chosen))
    print_impact(screen_beside(json), found.counts(), found.tree(_LINES_OF_TREE), ())
    if json is not None:
        write_text(found.as_json().decode() + "\n", json)
    if html is not None:
        from actorium.corrections.pages.impact_page import impact_page

        write_text(impact_page(found), html)


def _ask(where: Where, selection: SelectionOptions, json: Path | None) -> None:
    """Have a running application say what some events caused, in it and around it."""
    query = chosen_events(selection, None)
    screen = screen_beside(json)
    with reached(where, screen) as application:
        application.require_running()
        found = application.get("impact", ImpactView, **structs.asdict(query))
    if json is not None:
        write_json(found, json)
    print_impact(screen, found.counts, found.tree[:_LINES_OF_TREE], found.services)


async def _examined(runtime: Runtime, selection: Selection) -> Impact:
    async with opened(runtime) as store:
        return await examine(store, runtime.catalog, selection, runtime.service)
