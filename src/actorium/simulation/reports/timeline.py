"""`Timeline`: the trace of a run as lanes: the clients' commands, the processes, the streams.

In simulated time, long gaps separate bursts in which everything happens at once. So the time axis is logarithmic: each
gap between two moments is as wide as its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from actorium.simulation.record.trace import TraceLine, TraceMark
from actorium.simulation.search.run import Outcome

_GROUPS = ("clients", "processes", "streams")
_OTHER_REQUESTS = "reads and queries"
_SHORTEST_S = 0.0005
_TICK_PX = 90.0
_WIDE_PX = 1_000.0  # a short run is drawn wider, to fill the screen
_LARGEST_SCALE = 3.0


class Spot(msgspec.Struct, frozen=True):
    """An event in a lane: where it is drawn, its kind, and the text shown on hover."""

    x: float
    mark: TraceMark
    text: str


class Bar(msgspec.Struct, frozen=True):
    """A stretch of time in a lane: a command in progress, or a process that is starting or serving."""

    start: float
    end: float
    kind: str
    text: str


class Lane(msgspec.Struct):
    """One row: a command of a client, a process, or a stream."""

    group: str
    name: str
    spots: list[Spot] = []
    bars: list[Bar] = []


class Timeline(msgspec.Struct, frozen=True):
    """The lanes, group by group; `ticks` are positions on the axis with their times as text."""

    width: float
    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    calm: float | None
    violated: float | None


def timeline(outcome: Outcome) -> Timeline:
    """Return the timeline of a run."""
    places = _axis(outcome.trace)
    drawing = _Drawing(outcome.trace, places)
    for line in outcome.trace:
        drawing.take(line)
    drawing.close()
    width = max(places.values(), default=0.0)
    return Timeline(width, drawing.in_order(), _ticks(places), drawing.calm, drawing.violated)


def _axis(trace: Sequence[TraceLine]) -> dict[float, float]:
    """Return the position of each moment on the axis."""
    places: dict[float, float] = {}
    x, before = 0.0, None
    for at_s in sorted({line.at_s for line in trace}):
        if before is not None:
            x += 4.0 + 11.0 * math.log10(1.0 + (at_s - before) / _SHORTEST_S)
        places[at_s], before = x, at_s
    scale = min(_LARGEST_SCALE, max(1.0, _WIDE_PX / x)) if x else 1.0
    return {at_s: place * scale for at_s, place in places.items()}


def _ticks(places: dict[float, float]) -> list[tuple[float, str]]:
    ticks: list[tuple[float, str]] = []
    for at_s, x in places.items():
        if not ticks or x - ticks[-1][0] >= _TICK_PX:
            ticks.append((x, f"{at_s * 1000:.1f} ms" if at_s < 1 else f"{at_s:,.3f} s"))
    return ticks


class _Drawing:
    """Assigns the lines of a trace to lanes."""

    def __init__(self, trace: Sequence[TraceLine], places: dict[float, float]) -> None:
        self.calm: float | None = None
        self.violated: float | None = None
        self._places = places
        self._end = max(places.values(), default=0.0)
        self._sent = {line.who for line in trace if line.mark is TraceMark.SENT}
        self._processes = {line.who for line in trace if line.mark is TraceMark.STARTED}
        self._lanes: dict[str, Lane] = {}
        self._open: dict[str, tuple[float, str]] = {}

    def take(self, line: TraceLine) -> None:
        """Draw one line."""
        x = self._places[line.at_s]
        match line.mark:
            case TraceMark.CALM:
                self.calm = x
            case TraceMark.VIOLATED:
                self.violated = x
            case TraceMark.COMMITTED:
                for stream in line.about:
                    self._lane("streams", stream).spots.append(_spot(x, line))
                if not line.about:
                    self._lane("processes", line.who).spots.append(_spot(x, line))
            case TraceMark.FAULT:
                self._fault(x, line)
            case TraceMark.SENT:
                self._begin("clients", line.who, x, "sent")
            case TraceMark.ANSWERED:
                self._finish("clients", line.who, x, line.text)
            case TraceMark.STARTED:
                self._begin("processes", line.who, x, "starts")
            case TraceMark.SERVES:
                self._finish("processes", line.who, x, line.text)
                self._begin("processes", line.who, x, "serves")
            case TraceMark.CRASHED:
                self._finish("processes", line.who, x, line.text)
                self._lane("processes", line.who).spots.append(_spot(x, line))

    def close(self) -> None:
        """End the bars that are still open at the end of the run."""
        for name in list(self._open):
            self._finish("processes" if name in self._processes else "clients", name, self._end, f"{name}, to the end")

    def in_order(self) -> list[Lane]:
        """Return the lanes, group by group, each group in order of appearance."""
        return [
            lane
            for group in ("clients", "processes", "streams")
            for lane in self._lanes.values()
            if lane.group == group
        ]

    def _fault(self, x: float, line: TraceLine) -> None:
        if line.who in self._sent:
            self._lane("clients", line.who).spots.append(_spot(x, line))
        elif line.who in self._processes:
            self._lane("processes", line.who).spots.append(_spot(x, line))
        elif line.who:
            self._lane("clients", _OTHER_REQUESTS).spots.append(_spot(x, line))
        for about in line.about:
            if "<" in about and about not in self._sent:
                self._lane("streams", about).spots.append(_spot(x, line))

    def _lane(self, group: str, name: str) -> Lane:
        return self._lanes.setdefault(f"{group} {name}", Lane(group, name))

    def _begin(self, group: str, name: str, x: float, kind: str) -> None:
        self._lane(group, name)
        self._open[name] = (x, kind)

    def _finish(self, group: str, name: str, x: float, text: str) -> None:
        if name in self._open:
            start, kind = self._open.pop(name)
            self._lane(group, name).bars.append(Bar(start, x, kind, text))


def _spot(x: float, line: TraceLine) -> Spot:
    return Spot(x, line.mark, f"{line.at_s:.6f} s, step {line.step}: {line.text}")
