"""A report as tables in Markdown, for a page of documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actorium.benchmarks.ratios import Ratio, ratios
from actorium.benchmarks.report import BenchmarkReport
from actorium.benchmarks.reports.caption import describe, when
from actorium.benchmarks.reports.prediction import predictions
from actorium.benchmarks.reports.words import LATENCIES, also, headline, number, spread, times, times_span
from actorium.benchmarks.scenario import STORE_TITLES


def tables(report: BenchmarkReport) -> str:
    """Return the machine, the ratios to the alternatives, all figures, the ratios among our own, and the model."""
    results = []
    for result in report.results:
        if result.runs:
            figure = result.headline
            latencies = [result.median(name) for name in LATENCIES]
            results.append(
                (
                    result.scenario,
                    STORE_TITLES[result.store],
                    headline(figure, result.median(figure) or 0.0),
                    spread(result.values(figure)),
                    " / ".join(number(value) for value in latencies if value is not None),
                    also(result),
                )
            )
    found = ratios(report)
    beside = [_cells(one) for one in found if not one.is_among_ours]
    ours = [_cells(one) for one in found if one.is_among_ours]
    model = [
        (one.scenario, STORE_TITLES[one.store], number(one.predicted_per_s), number(one.measured_per_s), one.of)
        for one in predictions(report)
    ]
    parts = [
        f"{describe(report.environment)}\n{when(report)}.\n",
        _table(("actorium", "compared with", "store", "actorium/s", "other/s", "ratio", "range over rounds"), beside),
        _table(("scenario", "store", "median", "spread", "p50 / p99 / p99.9 / max ms", "other figures"), results),
        _table(("scenario", "compared with", "store", "first", "second", "ratio", "range over rounds"), ours),
        _table(("scenario", "store", "predicted/s", "measured/s", "components, µs"), model),
    ]
    return "\n".join(part for part in parts if part)


def _cells(one: Ratio) -> Sequence[str]:
    figures = (number(one.first), number(one.second), times(one.ratio), times_span(one.low, one.high))
    return (one.name, one.other, STORE_TITLES[one.store], *figures)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join((f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *lines)) + "\n"
