"""`FaultFindings`: what the faults cost, and what the log, the balances and the sagas look like afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from actorium.examples.bank.findings import AuditFindings

WANTED_S: Mapping[str, tuple[float | None, float]] = {"process killed": (1.0, 4.0)}
"""How long a takeover should take at most, as a median and at worst, in seconds."""


class FaultFindings(AuditFindings, kw_only=True):
    """The results of a run.

    outages_s: for each kind of fault, how long after it a command that was sent after it was acknowledged, in seconds.
    takeovers: how often another process took the log over.
    unfinished: sagas, transfers and bookings for later that came to no end.
    strays: processes that lost the log and did not end as they should.
    """

    outages_s: dict[str, list[float]] = {}
    takeovers: int = 0
    sagas: int = 0
    unfinished: int = 0
    strays: int = 0

    @property
    def rounds(self) -> int:
        """The number of faults."""
        return sum(map(len, self.outages_s.values()))

    @property
    def holds(self) -> bool:
        """Whether all promises were kept."""
        return super().holds and not (self.unfinished or self.strays)
