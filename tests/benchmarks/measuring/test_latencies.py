"""Latencies keep three digits of each duration, and the slowest ones."""

import pytest

from actorium.benchmarks.measuring.latencies import Latencies


def test_the_four_figures() -> None:
    figures = Latencies.of([n / 1_000 for n in range(1, 1_001)]).figures()
    assert figures == pytest.approx({"p50_ms": 500, "p99_ms": 990, "p99_9_ms": 999, "max_ms": 1_000}, rel=0.002)


def test_runs_are_merged() -> None:
    both = Latencies.decoded([Latencies.of([0.001] * 99).encoded(), "", Latencies.of([2.0]).encoded()])
    assert both.count == 100
    assert both.at_ms(50) == pytest.approx(1, rel=0.002)
    assert both.figures()["max_ms"] == pytest.approx(2_000, rel=0.002)


def test_a_curve_ends_at_the_highest_percentile_with_enough_data() -> None:
    assert [at for at, _ in Latencies.of([0.001] * 100).curve()][-1] == 99.0
    assert [at for at, _ in Latencies.of([0.001] * 10_000).curve()][-1] == 99.99


def test_no_latencies_give_no_figures() -> None:
    nothing = Latencies.of([])
    assert (nothing.figures(), nothing.encoded(), nothing.curve()) == ({}, "", [])


def test_a_latency_beyond_the_range_counts_as_its_end() -> None:
    assert Latencies.of([0.0, 1e9]).count == 2
