"""A report as a self-contained page: figures, plots, tables, and the report itself as embedded JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from actorium.benchmarks.measuring.latencies import Latencies
from actorium.benchmarks.ratios import ratios
from actorium.benchmarks.report import BenchmarkReport, Result
from actorium.benchmarks.reports.caption import describe, in_short, peers_missing, warnings, when
from actorium.benchmarks.reports.front import cards_by_store
from actorium.benchmarks.reports.plots import (
    Axis,
    Plot,
    PlotLine,
    Point,
    line_plot,
    linear_axis,
    log_axis,
    percent_axis,
    percentile_axis,
)
from actorium.benchmarks.reports.prediction import Prediction, predictions
from actorium.benchmarks.reports.words import LATENCIES, also, amount, headline, number, question, spread, times, title
from actorium.benchmarks.scenario import OURS, STORE_TITLES, STORES, SURVIVES, YARDSTICK, StoreName
from actorium.benchmarks.scenarios.overload import LOADS_PERCENT
from actorium.pages.render import render

_CALLERS = (("one-caller", 1), ("100-callers", 100), ("10000-callers", 10_000))
_GROWTH = (("growth-1k", 1_000), ("growth-10k", 10_000), ("growth-100k", 100_000), ("growth-1m", 1_000_000))
_SHORT: Mapping[StoreName, str] = {"memory": "memory", "full": "FULL", "normal": "NORMAL", "postgresql": "PostgreSQL"}
_TILES: Sequence[tuple[str, StoreName, str, str]] = (
    ("open-loop", "full", "p99_ms", "99% of commands take no longer than this at half the capacity, SQLite FULL"),
    ("recovery", "full", "first_answer_ms", "from opening the log after SIGKILL to the first answer, SQLite FULL"),
    ("sagas", "full", "sagas_per_s", "with three steps each, SQLite FULL"),
    ("replay", "full", "events_per_s", "when one stream is replayed, SQLite FULL"),
    ("idle-actors", "full", "actor_bytes", "per idle actor, in addition to its state"),
)


class _Tile(NamedTuple):
    """One large figure, its meaning, and its spread."""

    value: str
    words: str
    spread: str


class _Figure(NamedTuple):
    """A plot with its heading."""

    heading: str
    words: str
    plot: Plot


class _Table(NamedTuple):
    """A table with its heading; omitted from the page if it has no rows."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: str = ""


class _ResultRow(NamedTuple):
    """The figures of one scenario on one store, and the durability in force."""

    cells: Sequence[str]
    durability: str


class _Question(NamedTuple):
    """A scenario, its question, and its rows."""

    scenario: str
    question: str
    rows: Sequence[_ResultRow]


def page(report: BenchmarkReport) -> str:
    """Return the page."""
    return render(
        __package__,
        "page.html",
        in_short=in_short(report),
        warnings=warnings(report),
        failures=[failure.partition("\n")[::2] for failure in report.failures],
        stores=cards_by_store(report),
        peers_missing=peers_missing(report),
        tiles=_tiles(report),
        figures=[figure for of in (_throughput, _latency, _growth, _overload) if (figure := of(report)) is not None],
        result_columns=(
            "",
            "median",
            "rounds",
            "spread",
            *(f"{title(name)}, ms" for name in LATENCIES),
            "other figures",
        ),
        results=_results(report.results),
        tables=[_ratios(report), _predictions(predictions(report)), _durabilities(report.results)],
        environment=f"{describe(report.environment)}\n{when(report)}",
        not_run=_not_run(report),
        # Nothing is escaped in a script element, so nothing may look like its end.
        report=msgspec.json.encode(report).decode().replace("<", "\\u003c"),
    )


def _tiles(report: BenchmarkReport) -> list[_Tile]:
    found = []
    for scenario, store, figure, words in _TILES:
        result = report.find(scenario, store)
        median = None if result is None else result.median(figure)
        if result is not None and median is not None:
            found.append(_Tile(amount(figure, median), words, spread(result.values(figure))))
    return found


def _point(x: float, values: Sequence[float], median: float) -> Point:
    return Point(x, median, min(values), max(values))


def _series(
    report: BenchmarkReport, names: Iterable[tuple[str, int]], of: Callable[[Result], list[float]]
) -> Iterable[tuple[StoreName, list[Point]]]:
    for store in STORES:
        points = []
        for name, x in names:
            result = report.find(name, store)
            values = sorted(of(result)) if result is not None else []
            if values:
                points.append(_point(x, values, values[len(values) // 2]))
        if points:
            yield store, points


def _log_axis_of(title: str, lines: Sequence[PlotLine]) -> Axis:
    """Return an axis with a mark at each point of the lines."""
    marks = sorted({point.x for line in lines for point in line.points})
    return log_axis(title, marks)._replace(marks=marks)


def _max_live(report: BenchmarkReport) -> str:
    limits = {one.sizes.get("max_live", 0.0) for one in report.results if one.scenario in dict(_GROWTH)}
    return " or ".join(f"{limit:,.0f}" for limit in sorted(limits))


def _throughput(report: BenchmarkReport) -> _Figure | None:
    lines = [
        PlotLine(_SHORT[store], store, points)
        for store, points in _series(report, _CALLERS, lambda result: result.values("commands_per_s"))
    ]
    if not lines:
        return None
    x = _log_axis_of("callers waiting for their replies", lines)
    y = log_axis("commands per second", [value for line in lines for p in line.points for value in (p.low, p.high)])
    words = "Over 1,000 aggregates. One flush of the disk serves every waiting caller."
    return _Figure("Throughput by callers", words, line_plot(lines, x, y))


def _latency(report: BenchmarkReport) -> _Figure | None:
    lines = []
    for store in STORES:
        result = report.find("open-loop", store)
        curve = [] if result is None else Latencies.decoded(run.latencies for run in result.runs).curve()
        if curve:
            lines.append(PlotLine(_SHORT[store], store, [Point(at, ms, ms, ms) for at, ms in curve if at]))
    if not lines:
        return None
    x = percentile_axis(
        "share of the commands that took no longer", [point.x for line in lines for point in line.points]
    )
    y = log_axis("milliseconds", [point.y for line in lines for point in line.points])
    words = (
        "At half the capacity, from the intended arrival time of each command: if it waits behind a slow one, the wait "
        "counts."
    )
    return _Figure("Latency, open loop", words, line_plot(lines, x, y))


def _growth(report: BenchmarkReport) -> _Figure | None:
    lines = [
        PlotLine(_SHORT[store], store, points)
        for store, points in _series(report, _GROWTH, lambda one: [1e6 / rate for rate in one.values("commands_per_s")])
    ]
    if not lines:
        return None
    x = _log_axis_of("aggregates in the log", lines)
    y = linear_axis("µs per command", [point.high for line in lines for point in line.points])
    words = (
        f"Total time of 100 callers, commands spread evenly over the aggregates, at most {_max_live(report)} of them "
        "in memory: beyond that, most commands hydrate their actor first."
    )
    return _Figure("Cost by number of aggregates", words, line_plot(lines, x, y))


def _overload(report: BenchmarkReport) -> _Figure | None:
    lines = []
    for store in STORES:
        result = report.find("overload", store)
        if result is None:
            continue
        points = []
        for percent in LOADS_PERCENT:
            good = f"goodput_at_{percent}_per_s"
            shares = sorted(
                run.figures[good] / run.figures["capacity_per_s"] * 100
                for run in result.runs
                if good in run.figures and run.figures.get("capacity_per_s")
            )
            if shares:
                points.append(_point(percent, shares, shares[len(shares) // 2]))
        if points:
            lines.append(PlotLine(_SHORT[store], store, points))
    if not lines:
        return None
    x = percent_axis("offered, as a share of a closed loop's rate", LOADS_PERCENT)
    y = percent_axis(
        "done in time, as a share of a closed loop's rate", [point.high for line in lines for point in line.points]
    )
    words = (
        "Commands answered within a quarter of a second of their intended time; the others are rejected immediately. "
        "The sender runs in the same process, which also costs time."
    )
    return _Figure("Load beyond capacity", words, line_plot(lines, x, y))


def _results(results: Sequence[Result]) -> list[tuple[str, list[_Question]]]:
    """Return the results under their headings, by scenario."""
    of: dict[str, list[Result]] = {"All figures": [], "Upper bounds": [], "Alternatives": []}
    for result in results:
        if result.runs:
            of[{OURS: "All figures", YARDSTICK: "Upper bounds"}.get(result.subject, "Alternatives")].append(result)
    return [(heading, _questions(group)) for heading, group in of.items() if group]


def _questions(results: Sequence[Result]) -> list[_Question]:
    found = []
    for name, group in groupby(results, key=lambda one: one.scenario):
        of_a_kind = list(group)
        rows = [_ResultRow(_cells(result), result.durability) for result in of_a_kind]
        found.append(_Question(name, question(of_a_kind[0]), rows))
    return found


def _cells(result: Result) -> Sequence[str]:
    latencies = [result.median(figure) for figure in LATENCIES]
    return (
        STORE_TITLES[result.store],
        headline(result.headline, result.median(result.headline) or 0.0),
        str(len(result.runs)),
        spread(result.values(result.headline)),
        *("" if value is None else number(value) for value in latencies),
        also(result),
    )


def _ratios(report: BenchmarkReport) -> _Table:
    rows = [
        (line.name, line.other, STORE_TITLES[line.store], number(line.first), number(line.second), times(line.ratio))
        for line in ratios(report)
        if line.is_among_ours
    ]
    columns = ("scenario", "compared with", "store", "first", "second", "ratio")
    return _Table(
        "Scenarios compared with each other", columns, rows, "Ratios of medians; above 1, the first does more."
    )


def _durabilities(results: Sequence[Result]) -> _Table:
    """Return each store's guarantee, and the settings in force as the databases report them."""
    rows = []
    for store in STORES:
        of_it = [one for one in results if one.store == store and one.runs]
        said = {one.durability.partition(":")[0]: None for one in of_it if one.durability.startswith("journal_mode")}
        if of_it:
            rows.append((STORE_TITLES[store], SURVIVES[store], "; ".join(said)))
    return _Table("Durability", ("store", "guarantee", "in force, as reported by SQLite"), rows)


def _predictions(found: Sequence[Prediction]) -> _Table:
    rows = [
        (one.scenario, STORE_TITLES[one.store], number(one.predicted_per_s), number(one.measured_per_s), one.of)
        for one in found
    ]
    columns = ("scenario", "store", "predicted commands/s", "measured", "components, µs")
    words = "Loop, writer and flush take turns; each cost was measured separately."
    return _Table("Composition of the rate", columns, rows, words)


def _not_run(report: BenchmarkReport) -> _Table:
    rows = [(one.scenario, STORE_TITLES[one.store], one.why) for one in report.not_run]
    return _Table("Not run", ("scenario", "store", "why"), rows)
