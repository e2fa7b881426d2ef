"""`actorium outlets`: the ways of events out and in, and the recall of events that are held."""

from __future__ import annotations

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import event_line, print_rows, report_action
from actorium.commands.live.reach import Reason, Where, reached
from actorium.console.api.deployment import ChannelsView
from actorium.console.api.views import EventPage


def list_outlets(*, where: Where, json: JsonFile = None) -> None:
    """List the outlets and inboxes of a running application, with how far they are behind."""
    screen = screen_beside(json)
    with reached(where, screen) as application:
        found = application.get("outlets", ChannelsView)
    if json is not None:
        write_json(found, json)
    rows = [
        (one.processor, one.kind, one.state, str(one.lag_events), f"{one.lag_s:.1f}", f"{one.hold_s:g}", one.error)
        for one in found.channels
    ]
    print_rows(screen, ("name", "kind", "state", "behind", "seconds", "hold", "error"), rows, "no outlets or inboxes")


def held(processor: str, /, *, where: Where, limit: int = 50, json: JsonFile = None) -> None:
    """List the events that an outlet or reaction holds, so that they can be recalled.

    Parameters
    ----------
    processor
        The name of the outlet or reaction, as `list` prints it.
    limit
        How many to list, at most 500.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        page = application.get("held", EventPage, processor=processor, limit=limit)
    if json is not None:
        write_json(page, json)
    for event in page.events:
        screen.say(event_line(event))
    if not page.events:
        screen.say("it holds no events")


def recall(processor: str, positions: list[int], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Take back events that an outlet or reaction holds: they are never handed out.

    Parameters
    ----------
    processor
        The name of the outlet or reaction, as `list` prints it.
    positions
        The positions of the events, as `held` prints them.
    """
    targets = [{"processor": processor, "position": position} for position in positions]
    with reached(where, screen_beside(json)) as application:
        report_action(application.act("outlets/recall", targets=targets, reason=reason), json)
