"""The model of the rate: the cost of a command on the loop and in the writer, and its share of a commit and flush.

A closed loop of callers moves in step: the callers wake together, and their commands are decided and written together,
so loop and writer take turns. A batch of b commands takes b × loop + b × row + commit + flush. Each part is measured
separately:

- loop: the same callers in memory, minus the memory store's time for an event;
- row and commit: our store alone, without a flush (NORMAL), with 100 events and with one event per commit;
- flush: a small write and its flush on the disk.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from actorium.benchmarks.report import BenchmarkReport
from actorium.benchmarks.reports.words import number
from actorium.benchmarks.scenario import StoreName

_BATCH = 100
_CLOSED_LOOPS = ("one-caller", "100-callers", "own-ids", "10000-callers", "one-hot", "ten-hot")


class Prediction(msgspec.Struct, frozen=True):
    """The predicted rate of a scenario, beside the measured one; `of` lists its parts."""

    scenario: str
    store: StoreName
    predicted_per_s: float
    measured_per_s: float
    of: str


class Constants(NamedTuple):
    """The costs measured separately, in microseconds. in_memory: the memory store's time for an event."""

    row: float
    commit: float
    flush: float
    in_memory: float


def constants(report: BenchmarkReport) -> Constants | None:
    """Return the constants of a machine, or None if one was not measured."""
    many = report.median("store-alone", "normal", "us_per_event")
    one = report.median("store-alone-1", "normal", "us_per_event")
    in_memory = report.median("store-alone", "memory", "us_per_event")
    flush_ms = report.median("flush", "full", "flush_ms")
    if not (many and one and in_memory and flush_ms):
        return None
    commit = max(0.0, (one - many) * _BATCH / (_BATCH - 1))
    return Constants(max(0.0, one - commit), commit, flush_ms * 1e3, in_memory)


def predictions(report: BenchmarkReport) -> list[Prediction]:
    """Return the prediction for each closed loop whose parts were measured."""
    found = constants(report)
    if found is None:
        return []
    lines = [_predict(report, found, scenario, store) for scenario in _CLOSED_LOOPS for store in ("full", "normal")]
    return [line for line in lines if line is not None]


def _predict(report: BenchmarkReport, known: Constants, scenario: str, store: StoreName) -> Prediction | None:
    in_memory = report.median(scenario, "memory", "commands_per_s")
    batch = report.median(scenario, store, "events_per_commit")
    measured = report.median(scenario, store, "commands_per_s")
    if not (in_memory and batch and measured):
        return None
    loop = 1e6 / in_memory - known.in_memory
    commit = known.commit / batch
    flush = known.flush / batch if store == "full" else 0.0
    parts = {"loop": loop, "row": known.row, "commit": commit, "flush": flush}
    of = " + ".join(f"{name} {number(us)}" for name, us in parts.items() if us)
    return Prediction(scenario, store, 1e6 / sum(parts.values()), measured, of)
