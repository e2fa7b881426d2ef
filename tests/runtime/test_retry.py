"""Times and counts given by a program must be finite."""

import math
from typing import Any

import pytest

from actorium import ConfigurationError, Retry, Saga, Settings, step

ENDLESS: list[Any] = [math.nan, math.inf, 1e300, 1e13, -1.0, "5", True]


@pytest.mark.parametrize("seconds", ENDLESS)
def test_an_infinite_wait_is_refused(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="backoff_s="):
        Retry(backoff_s=seconds)
    with pytest.raises(ConfigurationError, match="backoff_max_s="):
        Retry(backoff_s=0.0, backoff_max_s=seconds)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, math.inf, "3", True])
def test_an_invalid_number_of_attempts_is_refused(attempts: Any) -> None:
    with pytest.raises(ConfigurationError, match="attempts="):
        Retry(attempts=attempts)


@pytest.mark.parametrize("timeout_s", [0, *ENDLESS])
def test_an_infinite_step_timeout_is_refused(timeout_s: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout_s="):

        class Endless(Saga):
            @step(timeout_s=timeout_s)
            def wait(self) -> None: ...


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 0.0])
def test_an_infinite_setting_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="default_timeout_s="):
        Settings(default_timeout_s=seconds)
