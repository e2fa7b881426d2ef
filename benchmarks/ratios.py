"""Ours beside the same work elsewhere: ratios of medians."""

from __future__ import annotations

import msgspec

from actorium.benchmarks.catalog import BY_NAME, CATALOG
from actorium.benchmarks.report import Report
from actorium.benchmarks.scenario import StoreName, more_is_better


class Ratio(msgspec.Struct, frozen=True):
    """One line: how many times as much of the work gets done by ours (above 1: ours does more)."""

    title: str
    peer: str
    scenario: str
    store: StoreName
    ours: float
    theirs: float
    ratio: float


def ratios(report: Report) -> list[Ratio]:
    """Return a line for each peer or yardstick that was measured, and ours with it."""
    found = []
    for peer in CATALOG:
        ours = BY_NAME.get(peer.beside)
        if ours is None:
            continue
        for store in peer.stores:
            mine = report.median(ours.name, store, ours.headline)
            theirs = report.median(peer.name, store, peer.headline)
            if mine and theirs:
                ratio = mine / theirs if more_is_better(ours.headline) else theirs / mine
                found.append(Ratio(f"{ours.name} / {peer.name}", peer.name, ours.name, store, mine, theirs, ratio))
    return found
