"""Keeps pytest from collecting the simulations that these tests are made of."""

import pytest

from actorium.simulation import Simulation


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Make no test of a simulation here: these are what the tests are made of, and many are to fail."""
    return [] if isinstance(obj, Simulation) else None
