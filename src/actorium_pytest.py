"""The pytest plugin: some options, and nothing else until a module contains a simulation.

The file is beside the package, not in it, because pytest imports it in every run of every project that has Actorium
installed, and importing anything from the package imports all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from actorium.simulation.pytest_item import SimulationItem


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of simulations."""
    group = parser.getgroup("actorium", "simulations of Actorium")
    seeds, first, rate = _number(int, 1), _number(int, 0), _number(float, 0, 1)
    group.addoption(
        "--simulation-seeds", type=seeds, metavar="N", help="seeds per simulation, instead of its own number"
    )
    group.addoption("--simulation-from", type=first, default=0, metavar="SEED", help="the first seed (default: 0)")
    group.addoption(
        "--simulation-rate", type=rate, metavar="RATE", help="inject faults of every kind at this rate (0 to 1)"
    )


def _number(kind: type[float], least: float, most: float = float("inf")) -> Callable[[str], float]:
    """Return a function that parses the number of an option and rejects numbers out of range."""

    def read(text: str) -> float:
        number = kind(text)
        if not least <= number <= most:
            raise ValueError(text)
        return number

    read.__name__ = f"number from {least}" + (f" to {most}" if most < float("inf") else "")
    return read


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> SimulationItem | list[pytest.Item] | None:
    """Make a test of each simulation that a module defines, whatever its name."""
    decorator = sys.modules.get("actorium.simulation.search.decorator")
    if decorator is None or not isinstance(obj, decorator.Simulation):
        return None
    if obj.scenario.__module__ != collector.module.__name__:
        return None  # imported from a module where it is a test already, or from an example
    from actorium.simulation.pytest_item import SimulationItem

    item: SimulationItem = SimulationItem.from_parent(collector, name=name, simulation=obj)
    return item
