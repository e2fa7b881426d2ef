"""`actorium events tail` and `actorium causes`: the events of a log, and what led to them."""

from __future__ import annotations

import time

import msgspec

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import event_line
from actorium.commands.live.reach import Application, Where, reached
from actorium.commands.screen import Screen
from actorium.console.api.views import CauseTree, EventPage, EventView

_POLL_S = 0.5
_PAGE = 500


def tail(
    *,
    where: Where,
    type: list[str] | None = None,
    flow: str = "",
    count: int = 20,
    follow: bool = False,
    json: JsonFile = None,
) -> None:
    """Print the newest events of the log, and with `--follow` new ones as they are recorded.

    Parameters
    ----------
    type
        Only events of this type; may be repeated.
    flow
        Only the events of the flow with this correlation id.
    count
        How many events to print first.
    follow
        Continue until Ctrl-C.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        page = application.get("events", EventPage, types=type, correlation_id=flow, limit=count)
        events = sorted(page.events, key=lambda one: one.position)
        if json is not None and not follow:
            write_json({"log": where.at, "events": events}, json)
        for event in events:
            _print(screen, event)
        if follow:
            _follow(application, screen, type, flow, events[-1].position if events else 0)


def _follow(application: Application, screen: Screen, types: list[str] | None, flow: str, after: int) -> None:
    end = application.get("events", EventPage, limit=1)
    after = max(after, end.events[0].position if end.events else 0)
    while True:
        page = application.get("events", EventPage, types=types, after=after or "0", limit=_PAGE)
        for event in page.events:
            if not flow or flow in (event.correlation_id, event.command_id):
                _print(screen, event)
        after = max(after, page.searched_to)
        if page.is_last:
            time.sleep(_POLL_S)


def _print(screen: Screen, event: EventView) -> None:
    screen.say(event_line(event))
    screen.say(f"          {msgspec.json.encode(event.payload).decode()}")


def causes(event_id: str, /, *, where: Where, json: JsonFile = None) -> None:
    """Show what led to an event, and everything that it caused.

    Parameters
    ----------
    event_id
        The id of the event: `Order/o-1/3` names the third event of the stream `o-1` of the type `Order`.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        tree = application.get("causes", CauseTree, event_id=event_id)
    if json is not None:
        write_json(tree, json)
    if tree.origin is not None:
        screen.say(f"caused by {tree.origin.id} of the service {tree.origin.service}")
    for depth, cause in enumerate(tree.causes):
        screen.say(f"{'  ' * depth}{_named(cause)}")
    depths = {tree.event.id: len(tree.causes)}
    screen.say(f"{'  ' * len(tree.causes)}{_named(tree.event)}  <- this event", style="bold")
    children: dict[str, list[EventView]] = {}
    for effect in tree.effects:
        children.setdefault(effect.causation_id, []).append(effect)
    waiting = list(reversed(children.get(tree.event.id, [])))
    while waiting:
        effect = waiting.pop()
        depth = depths[effect.id] = depths.get(effect.causation_id, 0) + 1
        screen.say(f"{'  ' * depth}{_named(effect)}")
        waiting += reversed(children.get(effect.id, []))
    if tree.from_services:
        screen.say("taken in from other services, in the same flow:", style="bold")
    for event in tree.from_services:
        screen.say(f"  {_named(event)}  because of {event.causation_id}")
    if not tree.is_complete:
        screen.say(f"… more than {len(tree.effects)} effects")


def _named(event: EventView) -> str:
    return f"{event.type}  {event.id}"
