"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def unconfigured_logs() -> Iterator[None]:
    """Restore structlog's configuration after a command under test, which configured an output that is closed later."""
    yield
    structlog.reset_defaults()
