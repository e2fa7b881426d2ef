"""What the commands for a running application print: tables, outcomes of actions, and how to get the next page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from actorium.commands.json_report import screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.console.api.views import ActionOutcome, ActionReport, EventView
from actorium.corrections.impact.report import TouchedService


def when(time: datetime | None) -> str:
    """Return a time in UTC, to the second; empty for none."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else ""


def event_line(event: EventView) -> str:
    """Return a line about an event."""
    stream = f"{event.stream_type}<{event.stream_id}>"
    return f"{event.position:>8}  {when(event.recorded_at)}  {event.type}  {stream} version {event.version}"


def print_rows(screen: Screen, columns: Sequence[str], rows: Iterable[Sequence[str]], nothing: str) -> None:
    """Print rows in columns as wide as they need, each on one line, or what to say if there are none."""
    lines = [tuple(columns), *(tuple(" ".join(cell.split()) for cell in row) for row in rows)]
    if len(lines) == 1:
        screen.say(nothing)
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        screen.say(text.rstrip(), style="bold" if number == 0 else None)


def print_impact(
    screen: Screen, counts: Mapping[str, int], tree: Iterable[str], services: Iterable[TouchedService]
) -> None:
    """Print what some events touched, here and in other services."""
    for name, number in counts.items():
        if number:
            screen.say(f"{number:>12,}  {name}")
    for line in tree:
        screen.say(line)
    for one in services:
        for line in one.lines():
            screen.say(line)


def report_action(report: ActionReport, json: Path | None) -> None:
    """Print what became of an action; raise Problem if a part of it was not carried out."""
    if json is not None:
        write_json(report, json)
    report_outcomes(report.outcomes, screen_beside(json))


def report_outcomes(outcomes: Sequence[ActionOutcome], screen: Screen) -> None:
    """Print the outcomes of an action; raise Problem if there are errors among them."""
    failed = [one for one in outcomes if one.error]
    for one in failed:
        screen.complain(f"{one.target}: {one.error}")
    done = len(outcomes) - len(failed)
    if failed:
        raise Problem(f"{done} done, {len(failed)} not done")
    screen.say(f"{done} done")
