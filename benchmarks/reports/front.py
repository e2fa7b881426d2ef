"""The front of the page: Actorium beside its alternatives, for each durability."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.ratios import Front, Ratio, fronts
from actorium.benchmarks.report import BenchmarkReport
from actorium.benchmarks.reports.words import number, spread, times, times_span
from actorium.benchmarks.scenario import STORE_TITLES, SURVIVES, YARDSTICK

_SHARE_MIN = 0.003


class CardRow(NamedTuple):
    """A rate and its bar; `style` is its colour class, `width` its length in percent of the widest."""

    name: str
    style: str
    value: str
    times: str
    note: str
    width: str


class Card(NamedTuple):
    """A scenario with its rate, a summary, and the rates beside it."""

    scenario: str
    rate: str
    comparison: str
    rows: Sequence[CardRow]


class CardsOfStore(NamedTuple):
    """The cards of one store, and its guarantee."""

    store: str
    survives: str
    cards: Sequence[Card]


def cards_by_store(report: BenchmarkReport) -> list[CardsOfStore]:
    """Return a card for each of the main scenarios, the most durable store first."""
    return [
        CardsOfStore(STORE_TITLES[store], SURVIVES[store], [_card(one) for one in group])
        for store, group in groupby(fronts(report), key=lambda one: one.ours.store)
    ]


def _card(one: Front) -> Card:
    ours = one.ours
    median = ours.median(ours.headline) or 0.0
    widest = max(median, *(line.second for line in one.ratios)) if one.ratios else median
    rows = [
        CardRow("actorium", "ours", number(median), "", spread(ours.values(ours.headline)), _width(median, widest)),
        *(_row(line, widest) for line in one.ratios),
    ]
    return Card(ours.scenario.replace("-", " "), number(median), _in_short(one.ratios), rows)


def _in_short(lines: Sequence[Ratio]) -> str:
    """Return the summary of a card: the ratio to the best of the alternatives, each taken at its best."""
    peers = [line.ratio for line in lines if _style(line) == "peer"]
    return f", {times(min(peers))} the best alternative" if peers else ""


def _style(line: Ratio) -> str:
    return "yardstick" if BY_NAME[line.other].subject == YARDSTICK else "peer"


def _row(line: Ratio, widest: float) -> CardRow:
    span = times_span(line.low, line.high)
    return CardRow(
        name=line.label,
        style=_style(line),
        value=number(line.second),
        times=times(line.ratio),
        note=f"({span})" if span else "",
        width=_width(line.second, widest),
    )


def _width(value: float, widest: float) -> str:
    return f"{max(value / widest, _SHARE_MIN):.1%}"
