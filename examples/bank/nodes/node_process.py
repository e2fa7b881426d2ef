"""`NodeProcess`: one node under load, and what its callers were told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from actorium.examples.bank.faults.member import Member
from actorium.examples.bank.nodes.load import CALLERS

Acknowledged = Callable[[str, int], None]


class NodeProcess(Member):
    """A process that is a node of the cluster from the start until it leaves, dies or is fenced.

    first: the number of its first piece of work.
    wire: the URL of the bus between the nodes; empty if the database carries the commands.
    acknowledged: called with the id and the position of each acknowledged command.
    """

    def __init__(self, name: str, first: int, wire: str, acknowledged: Acknowledged) -> None:
        super().__init__(name, self._command, lambda member: f"begin {first}", self._take)
        self.first = self.last = first
        self._wire = wire
        self.leaves = False
        self._acknowledged = acknowledged
        self._began = [0.0] * CALLERS  # when the last acknowledged command of each caller was sent
        self._slowest_s = 0.0

    def _command(self, url: str) -> Sequence[str]:
        return sys.executable, "-m", "actorium.examples.bank.nodes.load", url, self.name, self._wire

    def _take(self, words: Sequence[str]) -> None:
        id, position, caller, seconds = words[0], int(words[1]), int(words[2]), float(words[3])
        self._acknowledged(id, position)
        if caller < 0:
            return
        if id.startswith("w"):
            self.last = max(self.last, int(id[1:]))
        self._began[caller] = time.monotonic() - seconds
        self._slowest_s = max(self._slowest_s, seconds)

    def has_answered(self, since: float) -> bool:
        """Return whether each caller was told of a command that it sent after a moment of `time.monotonic`."""
        return min(self._began) >= since

    def slowest_s(self) -> float:
        """Return how long the slowest command took that was acknowledged since the last call, in seconds."""
        slowest_s, self._slowest_s = self._slowest_s, 0.0
        return slowest_s
