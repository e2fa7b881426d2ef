"""The first look of the page: what this does beside what one would use instead, for each durability."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.reports.caption import peers_missing
from actorium.benchmarks.reports.ratios import Front, Ratio, fronts
from actorium.benchmarks.reports.report import BenchmarkReport
from actorium.benchmarks.reports.words import number, spread, times, times_span
from actorium.benchmarks.scenario import STORE_TITLES, SURVIVES, YARDSTICK


def front(report: BenchmarkReport) -> str:
    """Return a card for each of the scenarios that tell most, the most durable first."""
    parts = []
    for store, group in groupby(fronts(report), key=lambda one: one.ours.store):
        heading = f"<h3>{escape(STORE_TITLES[store])} <small>{escape(SURVIVES[store])}</small></h3>"
        parts.append(f"{heading}<div class='fronts'>{''.join(_card(one) for one in group)}</div>")
    missing = "".join(f"<p class='warning'>{escape(why)}</p>" for why in peers_missing(report))
    if not parts:
        return missing
    words = (
        "Commands a second, medians of the rounds, one event each. × says how many times as much Actorium does, in "
        "brackets by the slowest and the fastest round. Each card has its own scale."
    )
    return f"<h2>Beside what you would use instead</h2><p>{escape(words)}</p>{missing}{''.join(parts)}"


def _card(one: Front) -> str:
    ours = one.ours
    median = ours.median(ours.headline) or 0.0
    widest = max(median, *(line.second for line in one.ratios)) if one.ratios else median
    rows = [
        _row("actorium", "ours", median, widest, spread(ours.values(ours.headline))),
        *(_row(line.label, _style(line), line.second, widest, "", line) for line in one.ratios),
    ]
    return (
        f"<figure class='front'><p class='sum'>{escape(ours.scenario.replace('-', ' '))}: "
        f"<b>{escape(number(median))}</b> commands/s{escape(_in_short(one.ratios))}</p>{''.join(rows)}</figure>"
    )


def _in_short(lines: Sequence[Ratio]) -> str:
    """Return what a card comes to: beside the best of what is not ours, so that each is given its best case."""
    peers = [line.ratio for line in lines if _style(line) == "peer"]
    return f", {times(min(peers))} the best of the others" if peers else ""


def _style(line: Ratio) -> str:
    return "yardstick" if BY_NAME[line.other].subject == YARDSTICK else "peer"


def _row(name: str, style: str, value: float, widest: float, note: str, line: Ratio | None = None) -> str:
    beside = "" if line is None else f"<b>{times(line.ratio)}</b>"
    if line is not None and (span := times_span(line.low, line.high)):
        note = f"({span})"
    return (
        f"<div class='row'><span>{escape(name)}</span><span class='value'>{escape(number(value))}</span>"
        f"<span class='times'>{beside} <small>{escape(note)}</small></span>"
        f"<i class='bar {style}' style='width:{max(value / widest, 0.003):.1%}'></i></div>"
    )
