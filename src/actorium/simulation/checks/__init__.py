"""The invariants checked in every simulated run: the runtime's own guarantees and the scenario's rules."""

from actorium.simulation.checks.rules import Rule
from actorium.simulation.checks.watch import Checks

__all__ = ["Checks", "Rule"]
