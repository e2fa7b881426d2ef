"""The model of the rate: what a command costs on the loop, in the writer, and its part of a flush.

A closed loop of callers moves in step: they wake together, their commands are decided together and written together,
so loop and writer take turns. A batch of b commands then takes b × loop + b × writer + flush. Each of the three is
measured by itself: the loop by the same callers in memory, the writer by our store alone without a flush (NORMAL), the
flush on the disk.
"""

from __future__ import annotations

import msgspec

from actorium.benchmarks.report import Report
from actorium.benchmarks.scenario import StoreName
from actorium.benchmarks.words import number


class Prediction(msgspec.Struct, frozen=True):
    """The rate that the model gives for a scenario, beside the measured one; `of` says what it is made of."""

    scenario: str
    store: StoreName
    predicted_per_s: float
    measured_per_s: float
    of: str


def predictions(report: Report) -> list[Prediction]:
    """Return what the model says for each closed loop whose parts were measured."""
    writer_us = report.median("store-alone", "normal", "us_per_event")
    flush_us = (report.median("flush", "full", "flush_ms") or report.environment.flush_ms) * 1e3
    found = []
    for scenario in ("one-caller", "100-callers", "10000-callers", "ten-hot", "one-hot"):
        in_memory = report.median(scenario, "memory", "commands_per_s")
        for store in ("full", "normal"):
            result = report.find(scenario, store)
            batch = None if result is None else result.median("events_per_commit")
            measured = None if result is None else result.median("commands_per_s")
            if not (in_memory and writer_us and batch and measured):
                continue
            loop_us, flushed_us = 1e6 / in_memory, flush_us / batch if store == "full" else 0.0
            of = f"{number(loop_us)} µs loop + {number(writer_us)} µs writer + {number(flushed_us)} µs flush"
            found.append(Prediction(scenario, store, 1e6 / (loop_us + writer_us + flushed_us), measured, of))
    return found
