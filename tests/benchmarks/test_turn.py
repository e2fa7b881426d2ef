"""Two measurements at once disturb each other, and both are told."""

from pathlib import Path

from actorium.benchmarks.turn import turn


def test_a_single_measurement_is_not_disturbed(tmp_path: Path) -> None:
    with turn(tmp_path) as mine:
        assert not mine.is_disturbed
    with turn(tmp_path) as mine:
        assert not mine.is_disturbed


def test_the_second_knows_at_once_and_the_first_when_it_looks_again(tmp_path: Path) -> None:
    with turn(tmp_path) as first:
        with turn(tmp_path) as second:
            assert second.is_disturbed
        assert first.is_disturbed
    with turn(tmp_path) as third:
        assert not third.is_disturbed


def test_without_a_lock_nobody_is_told(tmp_path: Path) -> None:
    with turn(tmp_path / "nowhere") as mine:
        assert not mine.is_disturbed
