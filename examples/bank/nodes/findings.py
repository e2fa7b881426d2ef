"""`ClusterFindings`: what faults of a cluster cost its callers, and whether a promise was broken."""

from __future__ import annotations

from collections.abc import Mapping

from actorium.examples.bank.faults.findings import FaultFindings

WANTED_S: Mapping[str, float] = {
    "node killed": 2.0,
    "node frozen": 4.0,
    "node joins": 0.5,
    "server killed": 3.0,
    "bus killed": 1.5,
}
"""How long the slowest command should take at most, in seconds; a frozen node keeps its shards for a lease of 3 s."""


class ClusterFindings(FaultFindings, kw_only=True):
    """The results of a run.

    outages_s: for each kind of fault, how long the slowest command took that was under way during it and was sent by a
        caller of another node than the one that it hit, in seconds.
    calm_s: the same, between the faults.
    away_s: how long the server was away each time that it was killed, in seconds.
    again: commands of nodes that died, which were sent again to other nodes.
    stale: reads that lacked what their caller was told before.
    nodes: the number of processes.
    """

    calm_s: list[float] = []
    away_s: list[float] = []
    again: int = 0
    stale: int = 0
    nodes: int = 0

    @property
    def holds(self) -> bool:
        """Whether all promises were kept."""
        return super().holds and not self.stale
