"""Ways to decide what remains after a power cut: exhaustively, one choice after another, or at random."""

from __future__ import annotations

from collections.abc import Iterator

from actorium.simulation.disk.disk import SimulatedDisk


class EveryChoice:
    """A `Choose` that makes every possible sequence of decisions, one per run."""

    __slots__ = ("_made", "_options", "_place")

    def __init__(self) -> None:
        self._made: list[int] = []
        self._options: list[int] = []
        self._place = 0

    def __call__(self, site: str, options: int) -> int:
        if self._place == len(self._made):
            self._made.append(0)
            self._options.append(options)
        self._place += 1
        return self._made[self._place - 1]

    def next_run(self) -> bool:
        """Start the next sequence; return False if all have been made."""
        self._place = 0
        while self._made:
            self._made[-1] += 1
            if self._made[-1] < self._options[-1]:
                return True
            self._made.pop()
            self._options.pop()
        return False


def every_state(disk: SimulatedDisk) -> Iterator[SimulatedDisk]:
    """Yield every disk that a power cut at this moment could leave; some may repeat."""
    choice = EveryChoice()
    yield disk.possible_after_power_cut(choice)
    while choice.next_run():
        yield disk.possible_after_power_cut(choice)
