"""What every test has."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def unconfigured_logs() -> Iterator[None]:
    """Undo what a command under test did to structlog's configuration, which holds an output that is closed later."""
    yield
    structlog.reset_defaults()
