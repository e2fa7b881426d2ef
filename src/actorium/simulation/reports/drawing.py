"""The layout of a timeline on its page, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actorium.simulation.reports.timeline import Lane, Timeline
from actorium.simulation.search.run import Outcome

_LANE_HEIGHT = 22
_GROUP_HEIGHT = 26
_AXIS_HEIGHT = 30
_GRID_TOP = _AXIS_HEIGHT - 6
_AXIS_Y = _AXIS_HEIGHT - 12
_MARGIN = 16
_LAST_TICK_PX = 90
_BAR_WIDTH_MIN = 3.0
_NAMES_MAX = 46
_NAMES_MARGIN = 28
_CHARACTER_PX = 7.2


class PlacedBar(NamedTuple):
    """A stretch of time in a lane."""

    kind: str
    x: float
    width: float
    text: str


class PlacedSpot(NamedTuple):
    """A mark in a lane; x and y are its centre."""

    kind: str
    x: float
    y: int
    text: str


class PlacedLane(NamedTuple):
    """One row, with its top at y; `shown` is its name, truncated if it is too long."""

    y: int
    name: str
    shown: str
    bars: Sequence[PlacedBar]
    spots: Sequence[PlacedSpot]


class Drawing(NamedTuple):
    """A timeline as the template draws it; `calm` and `violated` are vertical lines."""

    width: int
    height: int
    names_width: int
    lane_height: int
    grid_top: int
    axis_y: int
    groups: Sequence[tuple[int, str]]
    lanes: Sequence[PlacedLane]
    ticks: Sequence[tuple[float, str]]
    calm: float | None
    violated: float | None
    violation: str


def draw(timeline: Timeline, outcome: Outcome) -> Drawing:
    """Return the drawing of a run's timeline."""
    lanes: list[PlacedLane] = []
    groups: list[tuple[int, str]] = []
    y = _AXIS_HEIGHT
    for lane in timeline.lanes:
        if not groups or groups[-1][1] != lane.group:
            groups.append((y, lane.group))
            y += _GROUP_HEIGHT
        lanes.append(_place(lane, y))
        y += _LANE_HEIGHT
    longest = max((len(lane.shown) for lane in lanes), default=10)
    return Drawing(
        width=round(timeline.width) + 2 * _MARGIN + _LAST_TICK_PX,
        height=y + 10,
        names_width=round(_NAMES_MARGIN + longest * _CHARACTER_PX),
        lane_height=_LANE_HEIGHT,
        grid_top=_GRID_TOP,
        axis_y=_AXIS_Y,
        groups=groups,
        lanes=lanes,
        ticks=[(_x(at), when) for at, when in timeline.ticks],
        calm=None if timeline.calm is None else _x(timeline.calm),
        violated=None if timeline.violated is None or outcome.violation is None else _x(timeline.violated),
        violation="" if outcome.violation is None else str(outcome.violation),
    )


def _place(lane: Lane, y: int) -> PlacedLane:
    shown = lane.name if len(lane.name) <= _NAMES_MAX else lane.name[: _NAMES_MAX - 1] + "…"
    bars = [
        PlacedBar(bar.kind, _x(bar.start), round(max(_BAR_WIDTH_MIN, bar.end - bar.start), 1), bar.text)
        for bar in lane.bars
    ]
    spots = [PlacedSpot(spot.mark, _x(spot.x), y + _LANE_HEIGHT // 2, spot.text) for spot in lane.spots]
    return PlacedLane(y, lane.name, shown, bars, spots)


def _x(x: float) -> float:
    return round(x + _MARGIN, 1)
