"""Scenarios beside each other and beside the same work elsewhere: ratios of medians."""

from __future__ import annotations

import msgspec

from actorium.benchmarks.catalog import BY_NAME, CATALOG
from actorium.benchmarks.report import Report
from actorium.benchmarks.scenario import OURS, Scenario, StoreName, more_is_better


class Ratio(msgspec.Struct, frozen=True):
    """One line: how many times as much the first does as the second, above 1 where it does more."""

    title: str
    store: StoreName
    first: float
    second: float
    ratio: float


def ratios(report: Report) -> list[Ratio]:
    """Return a line for each two scenarios that were both measured and stand beside each other."""
    found = []
    for scenario in CATALOG:
        for name in scenario.beside:
            other = BY_NAME[name]
            # Of a peer or a yardstick, ours comes first; of two of ours, the one that asks more.
            first, second = (scenario, other) if scenario.subject == OURS else (other, scenario)
            found += [line for store in scenario.stores if (line := _ratio(report, first, second, store))]
    return found


def _ratio(report: Report, first: Scenario, second: Scenario, store: StoreName) -> Ratio | None:
    above = report.median(first.name, store, first.headline)
    below = report.median(second.name, store, second.headline)
    if not above or not below:
        return None
    ratio = above / below if more_is_better(first.headline) else below / above
    return Ratio(f"{first.name} / {second.name}", store, above, below, ratio)
