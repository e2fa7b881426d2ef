"""The format of figures, wherever they are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.report import Result
from actorium.benchmarks.scenario import more_is_better

_UNITS = {"us": "µs", "ms": "ms", "s": "s", "bytes": "bytes", "mb": "MB"}
LATENCIES = ("p50_ms", "p99_ms", "p99_9_ms", "max_ms")


def number(value: float) -> str:
    """Return a figure with at least three digits, without trailing zeros."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"


def title(figure: str) -> str:
    """Return a figure's name in words, without its unit."""
    name, _, unit = figure.rpartition("_")
    name = figure.removesuffix("_per_s") if figure.endswith("_per_s") else name if unit in _UNITS else figure
    name = re.sub(r"_at_(\d+)$", r" at \1%", name.replace("p99_9", "p99.9"))
    return re.sub(r"(^|_)us_", r"\1µs_", name).replace("_", " ")


def mark(value: float) -> str:
    """Return a round number, as on an axis."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def amount(figure: str, value: float) -> str:
    """Return a number with its unit; the unit of a rate of plain things is their name."""
    if figure.endswith("_per_s"):
        return f"{number(value)}/s" if "_at_" in figure else f"{number(value)} {title(figure)}/s"
    return f"{number(value)} {_UNITS.get(figure.rpartition('_')[2], '')}".rstrip()


def headline(figure: str, value: float) -> str:
    """Return a number with its unit and, if that is not clear, its name."""
    if more_is_better(figure) and "_at_" not in figure:
        return amount(figure, value)
    return f"{title(figure)} {amount(figure, value)}"


def spread(values: Sequence[float]) -> str:
    """Return the smallest and the largest value; "" for a single one."""
    return "" if len(values) < 2 else f"{number(min(values))} – {number(max(values))}"


def half_spread(values: Sequence[float]) -> str:
    """Return the half-width of the spread as a share of the middle; "" for a single value."""
    middle = (max(values) + min(values)) / 2 if values else 0.0
    return "" if len(values) < 2 or not middle else f"{(max(values) - middle) / middle:.0%}"


def question(result: Result) -> str:
    """Return the question of the scenario with these sizes; "" if the scenario no longer exists."""
    scenario = BY_NAME.get(result.scenario)
    return "" if scenario is None else scenario.asked(result.sizes)


def also(result: Result) -> str:
    """Return the secondary figures that the scenario shows, in its words.

    If the scenario does not select any, or the report of another version has others, return all of them.
    """
    medians = {name: result.median(name) or 0.0 for run in result.runs for name in run.figures}
    scenario = BY_NAME.get(result.scenario)
    if scenario is not None and scenario.also:
        try:
            return scenario.also.format_map({name: number(median) for name, median in medians.items()})
        except KeyError:
            pass
    return "; ".join(
        f"{title(name)} {number(median)}/s" if more_is_better(name) else f"{title(name)} {amount(name, median)}"
        for name, median in medians.items()
        if name != result.headline and name not in LATENCIES
    )


def times(ratio: float) -> str:
    """Return a ratio as text, such as `4.0×`."""
    return f"{_plain(ratio)}×"


def times_span(low: float, high: float) -> str:
    """Return the bounds of a ratio; "" if they are equal."""
    return f"{_plain(low)} – {_plain(high)}" if low < high else ""


def _plain(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"
