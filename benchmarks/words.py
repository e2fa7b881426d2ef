"""How figures are written, wherever they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from actorium.benchmarks.report import Result

_UNITS = {"us": "µs", "ms": "ms", "s": "s", "bytes": "bytes", "mb": "MB"}
LATENCIES = ("p50_ms", "p99_ms", "p99_9_ms", "max_ms")


def number(value: float) -> str:
    """Return a figure with three digits or more, none of them idle."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"


def title(figure: str) -> str:
    """Return a figure's name in words, without the unit that its number will carry."""
    if figure.endswith("_per_s"):
        return figure.removesuffix("_per_s").replace("_", " ")
    name, _, unit = figure.rpartition("_")
    return (
        (name if unit in _UNITS else figure).replace("p99_9", "p99.9").replace("_us_per", "_µs_per").replace("_", " ")
    )


def mark(value: float) -> str:
    """Return a round number, as an axis has them."""
    return f"{value:,.6g}"


def unit(figure: str) -> str:
    """Return what a figure counts."""
    if figure.endswith("_per_s"):
        return f"{title(figure)}/s"
    return _UNITS.get(figure.rpartition("_")[2], "")


def amount(figure: str, value: float) -> str:
    """Return a number with its unit."""
    return f"{number(value)} {unit(figure)}".rstrip()


def spread(values: Sequence[float]) -> str:
    """Return the smallest and the largest, empty for a single one."""
    return "" if len(values) < 2 else f"{number(min(values))} – {number(max(values))}"


def half_spread(values: Sequence[float]) -> str:
    """Return how far they lie from the middle, as a part of it; empty for a single one."""
    middle = (max(values) + min(values)) / 2 if values else 0.0
    return "" if len(values) < 2 or not middle else f"{(max(values) - middle) / middle:.0%}"


def others(result: Result, headline: str) -> str:
    """Return the figures that have no column of their own."""
    names = {name: None for run in result.runs for name in run.figures if name != headline and name not in LATENCIES}
    parts = []
    for name in names:
        median = result.median(name)
        if median is not None:
            value = f"{number(median)}/s" if name.endswith("_per_s") else amount(name, median)
            parts.append(f"{title(name)} {value}")
    return ", ".join(parts)
