"""`FaultFindings`: what the faults cost, and what the log, the balances and the sagas look like afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

WANTED_S: Mapping[str, tuple[float | None, float]] = {"process killed": (1.0, 4.0)}
"""How long a takeover should take at most, as a median and at worst, in seconds."""
_EXAMPLES_MAX = 10


class FaultFindings(msgspec.Struct):
    """The results of a run.

    outages_s: for each kind of fault, how long after it a command that was sent after it was acknowledged, in seconds.
    takeovers: how often another process took the log over.
    lost: acknowledged commands that are not at the acknowledged position.
    duplicated: commands with more than one effect.
    gaps: versions or positions that do not follow the previous one.
    moved: commands that were sent again and acknowledged at another position.
    wrong_balances: accounts whose balance, or row in the read model, is not the sum of their events.
    unfinished: sagas, transfers and bookings for later that came to no end.
    strays: processes that lost the log and did not end as they should.
    """

    outages_s: dict[str, list[float]] = {}
    takeovers: int = 0
    acknowledged: int = 0
    events: int = 0
    sagas: int = 0
    lost: int = 0
    duplicated: int = 0
    gaps: int = 0
    moved: int = 0
    wrong_balances: int = 0
    unfinished: int = 0
    strays: int = 0
    examples: list[str] = []

    @property
    def rounds(self) -> int:
        """The number of faults."""
        return sum(map(len, self.outages_s.values()))

    @property
    def holds(self) -> bool:
        """Whether all promises were kept."""
        broken = self.lost, self.duplicated, self.gaps, self.moved, self.wrong_balances, self.unfinished, self.strays
        return not any(broken)

    def note(self, example: str) -> None:
        """Keep an example of what is wrong."""
        if len(self.examples) < _EXAMPLES_MAX:
            self.examples.append(example)
