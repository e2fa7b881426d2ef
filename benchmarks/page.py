"""A report as one page that needs nothing else: figures, plots, tables, and the report itself as JSON inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

import msgspec

from actorium.benchmarks.caption import describe, warnings
from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.latencies import Latencies
from actorium.benchmarks.plots import Bar, Line, Point, bar_plot, line_plot, linear_axis, log_axis, percentile_axis
from actorium.benchmarks.prediction import Prediction, predictions
from actorium.benchmarks.ratios import ratios
from actorium.benchmarks.report import Report, Result
from actorium.benchmarks.scenario import OURS, STORE_TITLES, STORES, YARDSTICK, StoreName
from actorium.benchmarks.scenarios.overload import LOADS_PERCENT
from actorium.benchmarks.words import LATENCIES, amount, number, others, spread, title

_CALLERS = (("one-caller", 1), ("100-callers", 100), ("10000-callers", 10_000))
_GROWTH = (("growth-1k", 1_000), ("growth-10k", 10_000), ("growth-100k", 100_000), ("growth-1m", 1_000_000))
_SIDE_BY_SIDE: Sequence[tuple[str, StoreName, Sequence[tuple[str, str]]]] = (
    (
        "In memory, many at once: commands/s",
        "memory",
        (
            ("100-callers", "actorium, 100 callers"),
            ("eventsourcing", "eventsourcing, one thread"),
            ("pykka-100", "pykka, 100 at once, no log"),
            ("least-100-callers", "the least there is"),
        ),
    ),
    (
        "SQLite FULL, many at once: commands/s",
        "full",
        (
            ("100-callers", "actorium, 100 callers"),
            ("eventsourcing-8", "eventsourcing, 8 threads"),
            ("least-100-callers", "the least there is"),
        ),
    ),
    (
        "SQLite FULL, one caller: commands/s",
        "full",
        (
            ("one-caller", "actorium"),
            ("eventsourcing", "eventsourcing"),
            ("least-one-caller", "the least there is"),
        ),
    ),
    (
        "In memory, one caller: commands/s",
        "memory",
        (
            ("one-caller", "actorium"),
            ("eventsourcing", "eventsourcing"),
            ("pykka", "pykka, no log"),
            ("least-one-caller", "the least there is"),
        ),
    ),
)
_TILES: Sequence[tuple[str, StoreName, str, str]] = (
    ("100-callers", "full", "commands_per_s", "100 callers, SQLite FULL"),
    ("open-loop", "full", "p99_ms", "p99 at half of capacity, SQLite FULL"),
    ("idle-actors", "full", "actor_bytes", "an idle actor beside its state"),
    ("recovery", "full", "first_answer_ms", "to the first answer after SIGKILL"),
)


def page(report: Report) -> str:
    """Return the page."""
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    body = [
        "<h1>What Actorium does on this machine</h1>",
        f"<p class='environment'>{escape(describe(report.environment))}<br>{escape(_when(report))}</p>",
        *(f"<p class='warning'>{escape(text)}</p>" for text in warnings(report)),
        *(f"<p class='warning'>WRONG {escape(text)}</p>" for text in report.failures),
        _tiles(report),
        "<div class='plots'>",
        _throughput(report),
        _latency(report),
        _growth(report),
        _overload(report),
        _peers(report),
        "</div>",
        _table_of_results(report.results),
        _table_of_ratios(report),
        _table_of_predictions(predictions(report)),
        _not_run(report),
    ]
    data = msgspec.json.encode(report).decode().replace("</", "<\\/")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Actorium benchmarks</title><style>{style}</style></head><body><main>{''.join(body)}</main>"
        f"<script type='application/json' id='report'>{data}</script></body></html>\n"
    )


def _when(report: Report) -> str:
    how = "; --quick: small sizes, a first look" if report.quick else ""
    return f"{report.began}; up to {report.rounds} interleaved rounds, each run a fresh process{how}"


def _tiles(report: Report) -> str:
    found = []
    for scenario, store, figure, words in _TILES:
        result = report.find(scenario, store)
        median = None if result is None else result.median(figure)
        if result is not None and median is not None:
            found.append(
                f"<div class='tile'><b>{escape(amount(figure, median))}</b><span>{escape(words)}</span>"
                f"<small>{escape(spread(result.values(figure)))}</small></div>"
            )
    return f"<div class='tiles'>{''.join(found)}</div>" if found else ""


def _figure(heading: str, words: str, drawing: str) -> str:
    return f"<figure><h2>{escape(heading)}</h2><p>{escape(words)}</p>{drawing}</figure>" if drawing else ""


def _point(x: float, values: Sequence[float], median: float) -> Point:
    return Point(x, median, min(values), max(values))


def _series(
    report: Report, names: Iterable[tuple[str, int]], of: Callable[[Result], list[float]]
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


def _throughput(report: Report) -> str:
    lines = [
        Line(STORE_TITLES[store], store, points)
        for store, points in _series(report, _CALLERS, lambda result: result.values("commands_per_s"))
    ]
    if not lines:
        return ""
    x = log_axis("callers that wait for their answers", [x for _, x in _CALLERS])
    x = x._replace(marks=[x for _, x in _CALLERS])
    y = log_axis("commands per second", [value for line in lines for p in line.points for value in (p.low, p.high)])
    words = "Commands per second, over 1,000 aggregates. One flush of the disk serves all who wait for it."
    return _figure("Throughput by callers", words, line_plot(lines, x, y))


def _latency(report: Report) -> str:
    lines = []
    for store in STORES:
        result = report.find("open-loop", store)
        curve = [] if result is None else Latencies.decoded(run.latencies for run in result.runs).curve()
        if curve:
            lines.append(Line(STORE_TITLES[store], store, [Point(at, ms, ms, ms) for at, ms in curve if at]))
    if not lines:
        return ""
    x = percentile_axis("commands that took no longer", [point.x for line in lines for point in line.points])
    y = log_axis("milliseconds", [point.y for line in lines for point in line.points])
    words = (
        "Milliseconds at half of capacity, from the moment a command was meant to come: one that waits behind a slow "
        "one counts its wait."
    )
    return _figure("Latency, open loop", words, line_plot(lines, x, y))


def _growth(report: Report) -> str:
    lines = [
        Line(STORE_TITLES[store], store, points)
        for store, points in _series(report, _GROWTH, lambda one: [1e6 / rate for rate in one.values("commands_per_s")])
    ]
    if not lines:
        return ""
    x = log_axis("aggregates in the log", [x for _, x in _GROWTH])
    y = linear_axis("µs per command", [point.high for line in lines for point in line.points])
    words = (
        "Microseconds of wall time per command, 100 callers, any aggregate with the same chance while only 10,000 may "
        "live (--quick: 1,000): beyond that a command hydrates its actor first."
    )
    return _figure("Cost as aggregates become more", words, line_plot(lines, x, y))


def _overload(report: Report) -> str:
    lines = []
    for store in STORES:
        result = report.find("overload", store)
        if result is None:
            continue
        points = []
        for percent in LOADS_PERCENT:
            goodput = result.values(f"goodput_at_{percent}_per_s")
            shares = sorted(
                good / most * 100 for good, most in zip(goodput, result.values("capacity_per_s"), strict=True)
            )
            if shares:
                points.append(_point(percent, shares, shares[len(shares) // 2]))
        if points:
            lines.append(Line(STORE_TITLES[store], store, points))
    if not lines:
        return ""
    x = linear_axis("offered, in % of what a closed loop gets", LOADS_PERCENT)
    y = linear_axis("done in time", [point.high for line in lines for point in line.points])
    words = (
        "Commands answered within a quarter of a second of the moment they were meant to come, in % of the capacity. "
        "Whoever sends them runs in the same process, and costs it, too."
    )
    return _figure("Load beyond capacity", words, line_plot(lines, x, y))


def _peers(report: Report) -> str:
    groups = []
    for heading, store, names in _SIDE_BY_SIDE:
        bars = []
        for name, words in names:
            result = report.find(name, store)
            median = None if result is None else result.median("commands_per_s")
            if result is not None and median is not None:
                values = result.values("commands_per_s")
                style = {OURS: "ours", YARDSTICK: "yardstick"}.get(result.subject, "peer")
                bars.append(Bar(words, style, median, min(values), max(values)))
        if bars:
            groups.append((heading, bars))
    words = "The same work elsewhere, as far as it is installed; each group has its own scale."
    return _figure("Side by side", words, bar_plot(groups, "side by side") if groups else "")


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


def _table_of_results(results: Sequence[Result]) -> str:
    columns = ("", "median", "spread", *(f"{title(name)}, ms" for name in LATENCIES), "also")
    heads = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = []
    for name, group in groupby([one for one in results if one.runs], key=lambda one: one.scenario):
        question = BY_NAME[name].question if name in BY_NAME else ""
        asked = f"<b>{escape(name)}</b> {escape(question)}"
        lines.append(f"<tr class='question'><td colspan='{len(columns)}'>{asked}</td></tr>")
        for result in group:
            latencies = [result.median(figure) for figure in LATENCIES]
            cells = (
                STORE_TITLES[result.store],
                amount(result.headline, result.median(result.headline) or 0.0),
                spread(result.values(result.headline)),
                *("" if value is None else number(value) for value in latencies),
                others(result, result.headline),
            )
            lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    table = f"<table class='results'><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f"<h2>All figures</h2><div class='wide'>{table}</div>" if lines else ""


def _table_of_ratios(report: Report) -> str:
    rows = [
        (line.title, STORE_TITLES[line.store], number(line.first), number(line.second), f"{line.ratio:.2f}")
        for line in ratios(report)
    ]
    words = "Ratios of medians; above 1 the first does more."
    columns = ("work", "store", "first", "second", "ratio")
    return _table("Beside each other, and the same work elsewhere", columns, rows, words)


def _table_of_predictions(found: Sequence[Prediction]) -> str:
    rows = [
        (one.scenario, STORE_TITLES[one.store], number(one.predicted_per_s), number(one.measured_per_s), one.of)
        for one in found
    ]
    columns = ("scenario", "store", "predicted commands/s", "measured", "made of, µs")
    words = "Loop, writer and flush take turns; what each costs was measured by itself."
    return _table("What the rate is made of", columns, rows, words)


def _not_run(report: Report) -> str:
    rows = [(one.scenario, STORE_TITLES[one.store], one.why) for one in report.not_run]
    return _table("Not run", ("scenario", "store", "why"), rows)
