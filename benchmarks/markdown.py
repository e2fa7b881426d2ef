"""A report as tables in Markdown, for a page of documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actorium.benchmarks.caption import describe
from actorium.benchmarks.prediction import predictions
from actorium.benchmarks.ratios import ratios
from actorium.benchmarks.report import Report
from actorium.benchmarks.scenario import STORE_TITLES
from actorium.benchmarks.words import LATENCIES, amount, number, others, spread


def tables(report: Report) -> str:
    """Return the machine, the figures, the ratios and the model, in that order."""
    results = []
    for result in report.results:
        if result.runs:
            headline = result.headline
            latencies = [result.median(name) for name in LATENCIES]
            results.append(
                (
                    result.scenario,
                    STORE_TITLES[result.store],
                    amount(headline, result.median(headline) or 0.0),
                    spread(result.values(headline)),
                    " / ".join(number(value) for value in latencies if value is not None),
                    others(result, headline),
                )
            )
    beside = [
        (one.title, STORE_TITLES[one.store], number(one.first), number(one.second), f"{one.ratio:.2f}")
        for one in ratios(report)
    ]
    model = [
        (one.scenario, STORE_TITLES[one.store], number(one.predicted_per_s), number(one.measured_per_s), one.of)
        for one in predictions(report)
    ]
    parts = [
        f"{describe(report.environment)}\n{report.began}, up to {report.rounds} rounds.\n",
        _table(("scenario", "store", "median", "spread", "p50 / p99 / p99.9 / max ms", "also"), results),
        _table(("work", "store", "first", "second", "ratio"), beside),
        _table(("scenario", "store", "predicted/s", "measured/s", "made of, µs"), model),
    ]
    return "\n".join(part for part in parts if part)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join((f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *lines)) + "\n"
