"""Keeps pytest from collecting the simulations that these tests use."""

import pytest

from actorium.simulation import Simulation


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Collect no simulation as a test here: the tests run them, and many are meant to fail."""
    return [] if isinstance(obj, Simulation) else None
