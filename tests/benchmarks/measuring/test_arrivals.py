"""Arrivals are fixed before the first of them, and each is handled once."""

import asyncio

import pytest

from actorium.benchmarks.measuring.arrivals import arrive, moments


def test_the_same_seed_gives_the_same_times() -> None:
    assert moments(1_000, 1.0, seed=3) == moments(1_000, 1.0, seed=3)
    assert moments(1_000, 1.0, seed=3) != moments(1_000, 1.0, seed=4)


def test_times_are_ordered_and_match_the_rate() -> None:
    found = moments(5_000, 2.0, seed=1)
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] < 2.0
    assert len(found) == pytest.approx(10_000, rel=0.05)


@pytest.mark.asyncio
async def test_each_arrival_is_handled_with_its_intended_time() -> None:
    intended: list[float] = []

    async def handle(moment: float) -> None:
        intended.append(moment)
        await asyncio.sleep(0)

    expected = moments(20_000, 0.05, seed=7)
    assert await arrive(20_000, 0.05, 7, handle) == len(expected)
    start = intended[0] - expected[0]
    assert [moment - start for moment in intended] == pytest.approx(expected, abs=1e-6)
