"""Plots: lines over a linear, a logarithmic or a percentile axis; `plot.html` renders them as SVG.

A plot is about as wide as a narrow window, so its text is as large as the text around it.

Colours are classes of the page's style sheet, so the same plot works in light and dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actorium.benchmarks.reports.words import mark, number

_WIDTH, _HEIGHT = 420, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 68, 34, 46
_LABEL_GAP_PX = 14
_AXIS_HEADROOM = 1.12
_WHISKER_MIN_PX = 2


class Point(NamedTuple):
    """A median with the smallest and the largest value of its rounds."""

    x: float
    y: float
    low: float
    high: float


class PlotLine(NamedTuple):
    """A series: its name, its colour class, its points from left to right."""

    name: str
    style: str
    points: Sequence[Point]


class Text(NamedTuple):
    """Text at a position; `style` is its CSS classes."""

    left: float
    top: float
    text: str
    style: str


class Dot(NamedTuple):
    """A point with the text shown on hover; a `whisker` extends from the smallest to the largest round."""

    left: float
    top: float
    told: str
    whisker: tuple[float, float] | None


class Curve(NamedTuple):
    """A series: its colour class, the corners of its line, its points."""

    style: str
    path: str
    dots: Sequence[Dot]


class Plot(NamedTuple):
    """A plot, with all positions in pixels within its width and height; `grid` holds the heights of the grid lines."""

    title: str
    width: int
    height: int
    left: int
    right: int
    grid: Sequence[float]
    texts: Sequence[Text]
    curves: Sequence[Curve]


class Axis(NamedTuple):
    """The position of a value between 0 and 1, the marks, and their labels."""

    place: Callable[[float], float]
    marks: Sequence[float]
    write: Callable[[float], str]
    title: str


def log_axis(title: str, values: Sequence[float]) -> Axis:
    """Return an axis of powers of ten around these values."""
    first, last = math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)
    last = max(last, first + 1)
    marks = [10.0**power for power in range(first, last + 1)]
    if last - first <= 2:
        marks = [m * f for m in marks[:-1] for f in (1, 2, 5)] + marks[-1:]
    return Axis(lambda value: (math.log10(value) - first) / (last - first), marks, mark, title)


def linear_axis(title: str, values: Sequence[float]) -> Axis:
    """Return an axis from 0 to the largest value and beyond, with round marks."""
    top = max(values) * _AXIS_HEADROOM
    step = 10.0 ** math.floor(math.log10(top))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if top / (step * part) <= 6)
    marks = [step * n for n in range(int(top / step) + 1)]
    return Axis(lambda value: value / top, marks, mark, title)


def percent_axis(title: str, values: Sequence[float]) -> Axis:
    """Return a linear axis in percent."""
    return linear_axis(title, values)._replace(write=lambda value: f"{value:g}%")


def percentile_axis(title: str, percentiles: Sequence[float]) -> Axis:
    """Return an axis on which each further mark is ten times closer to 100 %."""
    last = max(percentiles)
    marks = [at for at in (50, 90, 99, 99.9, 99.99) if at <= last + 1e-9]
    return Axis(lambda at: _nines(at) / _nines(last), marks, lambda at: f"{at:g}%", title)


def _nines(percentile: float) -> float:
    return -math.log10(max(1 - percentile / 100, 1e-9))


def line_plot(lines: Sequence[PlotLine], x: Axis, y: Axis) -> Plot:
    """Return a plot of lines, each named at its end, with the title of the vertical axis above it."""
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def left(value: float) -> float:
        return round(_LEFT + wide * x.place(value), 1)

    def top(value: float) -> float:
        return round(_TOP + high * (1 - y.place(value)), 1)

    def dot(line: PlotLine, point: Point) -> Dot:
        told = f"{line.name}: {x.write(point.x)} → {number(point.y)} ({number(point.low)} – {number(point.high)})"
        low, high = top(point.low), top(point.high)
        return Dot(left(point.x), top(point.y), told, (low, high) if abs(high - low) >= _WHISKER_MIN_PX else None)

    curves = []
    for line in lines:
        dots = [dot(line, point) for point in line.points]
        curves.append(Curve(line.style, " ".join(f"{one.left},{one.top}" for one in dots), dots))
    ends = [(curve.dots[-1].top, (curve.dots[-1].left, line)) for curve, line in zip(curves, lines, strict=True)]
    texts = [
        Text(0, 13, y.title, "axis"),
        *(Text(_LEFT - 8, top(value) + 4, y.write(value), "mark end") for value in y.marks),
        *(Text(left(value), _TOP + high + 18, x.write(value), "mark middle") for value in x.marks),
        Text(_LEFT + wide / 2, _HEIGHT - 8, x.title, "axis middle"),
        *(Text(at + 10, down + 4, line.name, f"name {line.style}") for down, (at, line) in _apart(ends)),
    ]
    return Plot(
        title=f"{y.title}, by {x.title}",
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_LEFT + wide,
        grid=[top(value) for value in y.marks],
        texts=texts,
        curves=curves,
    )


def _apart(labels: Sequence[tuple[float, tuple[float, PlotLine]]]) -> list[tuple[float, tuple[float, PlotLine]]]:
    """Move labels down until none overlap."""
    placed: list[tuple[float, tuple[float, PlotLine]]] = []
    for top, label in sorted(labels, key=lambda one: one[0]):
        least = placed[-1][0] + _LABEL_GAP_PX if placed else top
        placed.append((max(top, least), label))
    return placed
