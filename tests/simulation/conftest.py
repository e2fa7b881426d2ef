"""Lets the tests import what they share from `tests/support`."""

import sys
from pathlib import Path

import pytest

from actorium.simulation import Simulation

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Make no test of a simulation here: these are what the tests are made of, and many are to fail."""
    return [] if isinstance(obj, Simulation) else None
