"""What must hold in every simulated run: the runtime's promises, each by itself, and what a scenario states."""

from actorium.simulation.checks.rules import Rule
from actorium.simulation.checks.watch import Checks

__all__ = ["Checks", "Rule"]
