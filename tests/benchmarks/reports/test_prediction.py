"""The predicted rate is the sum of the costs of loop, writer and disk for a batch."""

import pytest
from support.reports import report, result

from actorium.benchmarks.reports.prediction import predictions

PARTS = (
    result([40_000], store="memory"),  # 25 µs a command
    result([200_000], "store-alone", "memory", figure="events_per_s", us_per_event=5.0),
    result([50_000], "store-alone", "normal", figure="events_per_s", us_per_event=11.0),
    result([10_000], "store-alone-1", "normal", figure="events_per_s", us_per_event=110.0),
    result([0.5], "flush", figure="flush_ms"),
)


def test_the_parts_are_added_up_for_a_batch() -> None:
    found = predictions(
        report(
            *PARTS,
            result([15_000], store="full", events_per_commit=50.0),
            result([20_000], store="normal", events_per_commit=50.0),
        )
    )
    assert {one.store: one.predicted_per_s for one in found} == {
        "full": pytest.approx(1e6 / (20 + 10 + 2 + 10)),
        "normal": pytest.approx(1e6 / (20 + 10 + 2)),
    }
    assert {one.store: one.measured_per_s for one in found} == {"full": 15_000, "normal": 20_000}
    assert found[0].of == "loop 20.0 + row 10.0 + commit 2.00 + flush 10.0"


@pytest.mark.parametrize("missing", range(len(PARTS)))
def test_without_one_of_its_parts_nothing_is_predicted(missing: int) -> None:
    parts = [part for number, part in enumerate(PARTS) if number != missing]
    assert predictions(report(*parts, result([15_000], store="full", events_per_commit=50.0))) == []
