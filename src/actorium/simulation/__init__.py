"""Simulation of failure and recovery: run your aggregates, sagas and projections with faults and virtual time."""

from actorium.simulation.cases import reproduce_case
from actorium.simulation.record.view import View
from actorium.simulation.record.violation import Violation
from actorium.simulation.search.decorator import Simulation, simulation
from actorium.simulation.search.run import Outcome, RunOptions, run
from actorium.simulation.world.client import SimulatedRuntime
from actorium.simulation.world.faults import FaultId, Faults, Kind
from actorium.simulation.world.world import World

__all__ = [
    "FaultId",
    "Faults",
    "Kind",
    "Outcome",
    "SimulatedRuntime",
    "Simulation",
    "View",
    "Violation",
    "RunOptions",
    "World",
    "reproduce_case",
    "run",
    "simulation",
]
