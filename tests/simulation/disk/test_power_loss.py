"""A recorded run with a power cut after every step: what remains with FULL, NORMAL and OFF."""

import asyncio

import pytest

from actorium.simulation.disk import SimulatedDisk
from actorium.simulation.disk.power_loss import PowerCutOutcome, examine, lose_power
from actorium.simulation.disk.recording import moments
from actorium.simulation.disk.workload import FILE, Recording, record

SEED = 20_261_122


@pytest.fixture(scope="module")
def recording() -> Recording:
    return asyncio.run(record(SEED, "FULL", commands=20))


def last(recording: Recording) -> SimulatedDisk:
    """The disk at the end of a run."""
    *_, moment = moments(recording.steps)
    return moment.disk


def lost(synchronous: str) -> PowerCutOutcome:
    return asyncio.run(lose_power(SEED, synchronous, commands=20))


def test_full_loses_nothing_in_any_state() -> None:
    outcome = lost("FULL")
    assert (outcome.lossy, outcome.wrong, outcome.examples) == (0, 0, [])
    assert outcome.states > 200
    assert lost("FULL") == outcome


def test_normal_loses_and_corrupts_nothing() -> None:
    outcome = lost("NORMAL")
    assert outcome.lossy > outcome.states / 8
    assert (outcome.wrong, len(outcome.examples)) == (0, 3)


def test_off_corrupts() -> None:
    assert lost("OFF").wrong > 0


def test_a_run_is_rebuilt_from_its_steps(recording: Recording) -> None:
    disk = last(recording)
    assert disk.names() == [FILE]  # stopped in peace, it leaves no journal behind
    assert asyncio.run(examine(disk, recording, len(recording.acknowledged))) == len(recording.log)
    assert len(recording.acknowledged) == 20


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b'"coins":', b'"coinz":', "checksum"),
        (b"projection purses version", b"projection purses Version", "checkpoint .* checksum"),
    ],
)
def test_a_difference_from_what_was_written_is_found(
    recording: Recording, before: bytes, after: bytes, words: str
) -> None:
    content = last(recording).content(FILE)
    assert before in content
    damaged = SimulatedDisk({FILE: content.replace(before, after)})
    with pytest.raises(Exception, match=words):
        asyncio.run(examine(damaged, recording, 0))


def test_outcomes_of_runs_add_up() -> None:
    total = PowerCutOutcome()
    total.add(PowerCutOutcome(1, 10, 100, 3, 2, 0, ["a", "b"]))
    total.add(PowerCutOutcome(1, 20, 200, 0, 5, 1, ["c", "d"]))
    assert total == PowerCutOutcome(2, 30, 300, 3, 5, 1, ["a", "b", "c"])
