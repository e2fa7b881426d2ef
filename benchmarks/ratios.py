"""Ratios of medians: scenarios beside their alternatives, beside yardsticks, and beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actorium.benchmarks.catalog import BY_NAME, CATALOG
from actorium.benchmarks.report import BenchmarkReport, Result
from actorium.benchmarks.scenario import OURS, YARDSTICK, Scenario, StoreName, more_is_better

# The scenarios at the front of a page or a screen, the most durable first.
_IN_FRONT: Sequence[tuple[StoreName, Sequence[str]]] = tuple(
    (store, ("100-callers", "one-caller")) for store in ("full", "normal", "postgresql", "memory")
)


class Ratio(msgspec.Struct, frozen=True):
    """One line: how many times as much `name` does as `other`, above 1 if it does more.

    low, high: the smallest and the largest ratio of any two rounds.
    """

    name: str
    other: str
    store: StoreName
    first: float
    second: float
    ratio: float
    low: float
    high: float

    @property
    def label(self) -> str:
        """A short name of the alternative that is compared with ours."""
        return BY_NAME[self.other].label

    @property
    def is_among_ours(self) -> bool:
        """Whether it compares two of our own scenarios."""
        return BY_NAME[self.other].subject == OURS


class Front(msgspec.Struct, frozen=True):
    """One of our scenarios on one store, with everything that does the same work there: alternatives, then bounds."""

    ours: Result
    ratios: list[Ratio]


def ratios(report: BenchmarkReport) -> list[Ratio]:
    """Return a line for each two measured scenarios that are meant to be compared."""
    found = []
    for scenario in CATALOG:
        for name in scenario.beside:
            # With a peer or a yardstick, ours comes first; of two of ours, the more demanding one.
            pair = (scenario, BY_NAME[name]) if scenario.subject == OURS else (BY_NAME[name], scenario)
            found += [line for store in scenario.stores if (line := _ratio(report, *pair, store))]
    return found


def fronts(report: BenchmarkReport) -> list[Front]:
    """Return the results of the main scenarios, with the ratios to alternatives that do the same work."""
    lines = [line for line in ratios(report) if not line.is_among_ours]
    lines.sort(key=lambda line: BY_NAME[line.other].subject == YARDSTICK)
    found = [result for store, names in _IN_FRONT for name in names if (result := report.find(name, store))]
    return [Front(ours, [line for line in lines if (line.name, line.store) == ours.key]) for ours in found]


def is_in_front(scenario: Scenario, store: StoreName) -> bool:
    """Return whether a scenario is one of the main ones, on its most durable store."""
    most_durable, names = _IN_FRONT[0]
    beside = () if scenario.subject == OURS else scenario.beside
    return store == most_durable and any(name in names for name in (scenario.name, *beside))


def _ratio(report: BenchmarkReport, first: Scenario, second: Scenario, store: StoreName) -> Ratio | None:
    above, below = report.find(first.name, store), report.find(second.name, store)
    if above is None or below is None:
        return None
    median, other = above.median(first.headline), below.median(second.headline)
    if not median or not other:
        return None
    ours, theirs = above.values(first.headline), below.values(second.headline)
    spans = median / other, min(ours) / max(theirs), max(ours) / min(theirs)
    ratio, low, high = spans if more_is_better(first.headline) else (1 / spans[0], 1 / spans[2], 1 / spans[1])
    return Ratio(first.name, second.name, store, median, other, ratio, low, high)
