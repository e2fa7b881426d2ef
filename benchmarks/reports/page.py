"""A report as one page that needs nothing else: figures, plots, tables, and the report itself as JSON inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

import msgspec

from actorium.benchmarks.measuring.latencies import Latencies
from actorium.benchmarks.reports.caption import describe, in_short, warnings, when
from actorium.benchmarks.reports.front import front
from actorium.benchmarks.reports.plots import (
    Axis,
    PlotLine,
    Point,
    line_plot,
    linear_axis,
    log_axis,
    percent_axis,
    percentile_axis,
)
from actorium.benchmarks.reports.prediction import Prediction, predictions
from actorium.benchmarks.reports.ratios import ratios
from actorium.benchmarks.reports.report import BenchmarkReport, Result
from actorium.benchmarks.reports.words import LATENCIES, also, amount, headline, number, question, spread, times, title
from actorium.benchmarks.scenario import OURS, STORE_TITLES, STORES, SURVIVES, YARDSTICK, StoreName
from actorium.benchmarks.scenarios.overload import LOADS_PERCENT

_CALLERS = (("one-caller", 1), ("100-callers", 100), ("10000-callers", 10_000))
_GROWTH = (("growth-1k", 1_000), ("growth-10k", 10_000), ("growth-100k", 100_000), ("growth-1m", 1_000_000))
_SHORT: Mapping[StoreName, str] = {"memory": "memory", "full": "FULL", "normal": "NORMAL"}
_TILES: Sequence[tuple[str, StoreName, str, str]] = (
    ("open-loop", "full", "p99_ms", "99 of 100 commands take no longer, at half of the capacity, SQLite FULL"),
    ("recovery", "full", "first_answer_ms", "from opening the log after SIGKILL to the first answer, SQLite FULL"),
    ("sagas", "full", "sagas_per_s", "sagas of three steps, SQLite FULL"),
    ("replay", "full", "events_per_s", "of one stream replayed, SQLite FULL"),
    ("idle-actors", "full", "actor_bytes", "an idle actor takes beside its state"),
)


def page(report: BenchmarkReport) -> str:
    """Return the page."""
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    body = [
        "<h1>What Actorium does on this machine</h1>",
        f"<p>{escape(in_short(report))}</p>",
        *(f"<p class='warning'>{escape(text)}</p>" for text in warnings(report)),
        *(_wrong(text) for text in report.failures),
        front(report),
        _tiles(report),
        _plots(report),
        _tables_of_results(report.results),
        _table_of_ratios(report),
        _table_of_predictions(predictions(report)),
        _table_of_durabilities(report.results),
        "<h2>The machine</h2>",
        f"<p class='environment'>{escape(describe(report.environment))}\n{escape(when(report))}</p>",
        _not_run(report),
    ]
    data = msgspec.json.encode(report).decode().replace("</", "<\\/")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Actorium benchmarks</title><style>{style}</style></head><body><main>{''.join(body)}</main>"
        f"<script type='application/json' id='report'>{data}</script></body></html>\n"
    )


def _wrong(failure: str) -> str:
    short, _, more = failure.partition("\n")
    if not more:
        return f"<p class='warning'>WRONG {escape(short)}</p>"
    return f"<details class='warning'><summary>WRONG {escape(short)}</summary><pre>{escape(more)}</pre></details>"


def _tiles(report: BenchmarkReport) -> str:
    found = []
    for scenario, store, figure, words in _TILES:
        result = report.find(scenario, store)
        median = None if result is None else result.median(figure)
        if result is not None and median is not None:
            found.append(
                f"<div class='tile'><b>{escape(amount(figure, median))}</b><span>{escape(words)}</span>"
                f"<small>{escape(spread(result.values(figure)))}</small></div>"
            )
    return f"<h2>More at a glance</h2><div class='tiles'>{''.join(found)}</div>" if found else ""


def _plots(report: BenchmarkReport) -> str:
    found = "".join((_throughput(report), _latency(report), _growth(report), _overload(report)))
    words = "A dot is the median of its rounds, the line through it their spread."
    return f"<h2>How it behaves</h2><p>{escape(words)}</p><div class='plots'>{found}</div>" if found else ""


def _figure(heading: str, words: str, drawing: str) -> str:
    return f"<figure><h3>{escape(heading)}</h3><p>{escape(words)}</p>{drawing}</figure>"


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
    """Return an axis whose marks are the points of the lines."""
    marks = sorted({point.x for line in lines for point in line.points})
    return log_axis(title, marks)._replace(marks=marks)


def _max_live(report: BenchmarkReport) -> str:
    limits = {one.sizes.get("max_live", 0.0) for one in report.results if one.scenario in dict(_GROWTH)}
    return " or ".join(f"{limit:,.0f}" for limit in sorted(limits))


def _throughput(report: BenchmarkReport) -> str:
    lines = [
        PlotLine(_SHORT[store], store, points)
        for store, points in _series(report, _CALLERS, lambda result: result.values("commands_per_s"))
    ]
    if not lines:
        return ""
    x = _log_axis_of("callers that wait for their replies", lines)
    y = log_axis("commands per second", [value for line in lines for p in line.points for value in (p.low, p.high)])
    words = "Over 1,000 aggregates. One flush of the disk serves all who wait for it."
    return _figure("Throughput by callers", words, line_plot(lines, x, y))


def _latency(report: BenchmarkReport) -> str:
    lines = []
    for store in STORES:
        result = report.find("open-loop", store)
        curve = [] if result is None else Latencies.decoded(run.latencies for run in result.runs).curve()
        if curve:
            lines.append(PlotLine(_SHORT[store], store, [Point(at, ms, ms, ms) for at, ms in curve if at]))
    if not lines:
        return ""
    x = percentile_axis(
        "part of the commands that took no longer", [point.x for line in lines for point in line.points]
    )
    y = log_axis("milliseconds", [point.y for line in lines for point in line.points])
    words = (
        "At half of the capacity, from the moment at which a command was meant to come: one that waits behind a slow "
        "one counts its wait."
    )
    return _figure("Latency, open loop", words, line_plot(lines, x, y))


def _growth(report: BenchmarkReport) -> str:
    lines = [
        PlotLine(_SHORT[store], store, points)
        for store, points in _series(report, _GROWTH, lambda one: [1e6 / rate for rate in one.values("commands_per_s")])
    ]
    if not lines:
        return ""
    x = _log_axis_of("aggregates in the log", lines)
    y = linear_axis("µs per command", [point.high for line in lines for point in line.points])
    words = (
        f"Time over all of 100 callers, each aggregate with the same chance, while only {_max_live(report)} may live: "
        "beyond that a command hydrates its actor first."
    )
    return _figure("Cost as aggregates become more", words, line_plot(lines, x, y))


def _overload(report: BenchmarkReport) -> str:
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
        return ""
    x = percent_axis("offered, of what a closed loop gets", LOADS_PERCENT)
    y = percent_axis(
        "done in time, of what a closed loop gets", [point.high for line in lines for point in line.points]
    )
    words = (
        "Commands answered within a quarter of a second of the moment at which they were meant to come; the others are "
        "refused at once. Whoever sends them runs in the same process, and costs it, too."
    )
    return _figure("Load beyond capacity", words, line_plot(lines, x, y))


def _table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]], words: str = "") -> str:
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    if not lines:
        return ""
    heads = "".join(f"<th>{escape(column)}</th>" for column in columns)
    told = f"<p>{escape(words)}</p>" if words else ""
    return (
        f"<h2>{escape(heading)}</h2>{told}<div class='wide'><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _tables_of_results(results: Sequence[Result]) -> str:
    of: dict[str, list[Result]] = {"All figures": [], "What bounds it": [], "Elsewhere": []}
    for result in results:
        if result.runs:
            of[{OURS: "All figures", YARDSTICK: "What bounds it"}.get(result.subject, "Elsewhere")].append(result)
    return "".join(_table_of_results(heading, group) for heading, group in of.items() if group)


def _table_of_results(heading: str, results: Sequence[Result]) -> str:
    columns = ("", "median", "rounds", "spread", *(f"{title(name)}, ms" for name in LATENCIES), "also")
    heads = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = []
    for name, group in groupby(results, key=lambda one: one.scenario):
        of_a_kind = list(group)
        asked = f"<b>{escape(name)}</b> {escape(question(of_a_kind[0]))}"
        lines.append(f"<tr class='question'><td colspan='{len(columns)}'>{asked}</td></tr>")
        for result in of_a_kind:
            latencies = [result.median(figure) for figure in LATENCIES]
            cells = (
                STORE_TITLES[result.store],
                headline(result.headline, result.median(result.headline) or 0.0),
                str(len(result.runs)),
                spread(result.values(result.headline)),
                *("" if value is None else number(value) for value in latencies),
                also(result),
            )
            told = f" title='{escape(result.durability)}'" if result.durability else ""
            lines.append(f"<tr{told}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    table = f"<table class='results'><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f"<h2>{escape(heading)}</h2><div class='wide'>{table}</div>"


def _table_of_ratios(report: BenchmarkReport) -> str:
    rows = [
        (line.name, line.other, STORE_TITLES[line.store], number(line.first), number(line.second), times(line.ratio))
        for line in ratios(report)
        if line.is_among_ours
    ]
    columns = ("scenario", "beside", "store", "first", "second", "ratio")
    return _table("Scenarios beside each other", columns, rows, "Ratios of medians; above 1 the first does more.")


def _table_of_durabilities(results: Sequence[Result]) -> str:
    """Say what each store promises, and what was in force, as the databases themselves said."""
    rows = []
    for store in STORES:
        of_it = [one for one in results if one.store == store and one.runs]
        said = {one.durability.partition(":")[0]: None for one in of_it if one.durability.startswith("journal_mode")}
        if of_it:
            rows.append((STORE_TITLES[store], SURVIVES[store], "; ".join(said)))
    return _table("Durability", ("store", "what is promised", "in force, as SQLite said when asked"), rows)


def _table_of_predictions(found: Sequence[Prediction]) -> str:
    rows = [
        (one.scenario, STORE_TITLES[one.store], number(one.predicted_per_s), number(one.measured_per_s), one.of)
        for one in found
    ]
    columns = ("scenario", "store", "predicted commands/s", "measured", "made of, µs")
    words = "Loop, writer and flush take turns; what each costs was measured by itself."
    return _table("What the rate is made of", columns, rows, words)


def _not_run(report: BenchmarkReport) -> str:
    rows = [(one.scenario, STORE_TITLES[one.store], one.why) for one in report.not_run]
    return _table("Not run", ("scenario", "store", "why"), rows)
