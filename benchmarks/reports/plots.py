"""Plots as SVG, drawn from numbers: lines over a linear, a logarithmic or a percentile axis.

A drawing is about as wide as a narrow window, so that its text has the size of the text around it.

Colours are classes of the page's style sheet, so that one drawing reads in light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from actorium.benchmarks.reports.words import mark, number

_WIDTH, _HEIGHT = 420, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 68, 34, 46
_LABEL_GAP_PX = 14
_AXIS_HEADROOM = 1.12


class Point(NamedTuple):
    """A median with the smallest and the largest of its rounds."""

    x: float
    y: float
    low: float
    high: float


class PlotLine(NamedTuple):
    """A series: its name, its colour class, its points from left to right."""

    name: str
    style: str
    points: Sequence[Point]


class Axis(NamedTuple):
    """Where a value lies between 0 and 1, which marks there are, and how each is written."""

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
    """Return an axis on which each further mark is ten times as far out."""
    last = max(percentiles)
    marks = [at for at in (50, 90, 99, 99.9, 99.99) if at <= last + 1e-9]
    return Axis(lambda at: _nines(at) / _nines(last), marks, lambda at: f"{at:g}%", title)


def _nines(percentile: float) -> float:
    return -math.log10(max(1 - percentile / 100, 1e-9))


def line_plot(lines: Sequence[PlotLine], x: Axis, y: Axis) -> str:
    """Return a plot of lines; each is named at its end, the vertical axis above it."""
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(px: float, py: float) -> tuple[float, float]:
        return _LEFT + wide * x.place(px), _TOP + high * (1 - y.place(py))

    parts = [_open(_WIDTH, _HEIGHT, f"{y.title}, by {x.title}"), _text(0, 13, y.title, "axis")]
    for value in y.marks:
        top = _TOP + high * (1 - y.place(value))
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + wide}" y1="{top:.1f}" y2="{top:.1f}"/>')
        parts.append(_text(_LEFT - 8, top + 4, y.write(value), "mark end"))
    for value in x.marks:
        left = _LEFT + wide * x.place(value)
        parts.append(_text(left, _TOP + high + 18, x.write(value), "mark middle"))
    parts.append(_text(_LEFT + wide / 2, _HEIGHT - 8, x.title, "axis middle"))
    for line in lines:
        places = [at(point.x, point.y) for point in line.points]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        parts.append(f'<polyline class="line {line.style}" points="{path}"/>')
        for point, (left, top) in zip(line.points, places, strict=True):
            parts.append(_whisker(left, at(point.x, point.low)[1], at(point.x, point.high)[1], line.style))
            told = f"{line.name}: {x.write(point.x)} → {number(point.y)} ({number(point.low)} – {number(point.high)})"
            parts.append(
                f'<circle class="dot {line.style}" cx="{left:.1f}" cy="{top:.1f}" r="3.5">'
                f"<title>{escape(told)}</title></circle>"
            )
    ends = [(at(line.points[-1].x, line.points[-1].y), line) for line in lines]
    for top, (left, line) in _apart([(top, (left, line)) for (left, top), line in ends]):
        parts.append(_text(left + 10, top + 4, line.name, f"name {line.style}"))
    return "".join(parts) + "</svg>"


def _apart(labels: Sequence[tuple[float, tuple[float, PlotLine]]]) -> list[tuple[float, tuple[float, PlotLine]]]:
    """Move labels down until no two lie over each other."""
    placed: list[tuple[float, tuple[float, PlotLine]]] = []
    for top, label in sorted(labels, key=lambda one: one[0]):
        least = placed[-1][0] + _LABEL_GAP_PX if placed else top
        placed.append((max(top, least), label))
    return placed


def _open(width: int, height: int, title: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'


def _text(left: float, top: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{left:.1f}" y="{top:.1f}">{escape(text)}</text>'


def _whisker(left: float, low: float, high: float, style: str) -> str:
    if abs(high - low) < 2:
        return ""
    return f'<line class="whisker {style}" x1="{left:.1f}" x2="{left:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
