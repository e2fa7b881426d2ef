"""The rate is made of what the loop, the writer and the disk take for a batch."""

import pytest
from support.reports import report, result

from actorium.benchmarks.prediction import predictions


def test_the_parts_are_added_up_for_a_batch() -> None:
    found = predictions(
        report(
            result([40_000], store="memory"),
            result([15_000], store="full", events_per_commit=100.0),
            result([20_000], store="normal", events_per_commit=100.0),
            result([50_000], "store-alone", "normal", figure="events_per_s", us_per_event=20.0),
            result([0.5], "flush", figure="flush_ms"),
        )
    )
    assert {one.store: one.predicted_per_s for one in found} == {
        "full": pytest.approx(1e6 / (25 + 20 + 5)),
        "normal": pytest.approx(1e6 / (25 + 20)),
    }
    assert {one.store: one.measured_per_s for one in found} == {"full": 15_000, "normal": 20_000}


def test_without_its_parts_nothing_is_predicted() -> None:
    assert predictions(report(result([15_000], events_per_commit=100.0))) == []
