"""`actorium stream show` and `actorium state`: the history and the state of one stream."""

from __future__ import annotations

import msgspec

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import event_line
from actorium.commands.live.reach import Where, reached
from actorium.console.api.views import DifferenceView, StateView, StreamHistory


def show(type: str, id: str, /, *, where: Where, before: int = 0, limit: int = 20, json: JsonFile = None) -> None:
    """Show the newest events of a stream, with what they changed in its state.

    The changes are shown if the application runs: its code computes them.

    Parameters
    ----------
    type
        The type of the stream, which is the name of its aggregate unless the class says otherwise.
    id
        The id of the stream.
    before
        Show the events before this version; by default the newest ones.
    limit
        How many events to show, at most 100.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        history = application.get("stream", StreamHistory, type=type, id=id, before_version=before, limit=limit)
    if json is not None:
        write_json(history, json)
    for change in reversed(history.changes):
        screen.say(event_line(change.event))
        screen.say(f"          {_text(change.event.payload)}")
        for difference in change.differences:
            screen.say(f"          {_changed(difference)}")
    first = history.changes[-1].event.version if history.changes else 1
    if first > 1:
        screen.say(f"older events: --before {first}")


def state(type: str, id: str, /, *, where: Where, version: int = 0, json: JsonFile = None) -> None:
    """Show the state of a stream, as it is now or as it was at a version.

    The application must run: its code computes the state.

    Parameters
    ----------
    type
        The type of the stream, which is the name of its aggregate unless the class says otherwise.
    id
        The id of the stream.
    version
        The version of the event after which the state is shown; by default the newest one.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        version = version or application.get("stream", StreamHistory, type=type, id=id, limit=1).version
        found = application.get("state", StateView, type=type, id=id, version=version)
    if json is not None:
        write_json(found, json)
    screen.say(f"{type}<{id}> at version {version}")
    screen.say(msgspec.json.format(_text(found.state), indent=2))


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _changed(difference: DifferenceView) -> str:
    return f"{difference.path}: {_text(difference.before)} -> {_text(difference.after)}"
