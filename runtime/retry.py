"""`Retry`: how often to retry, and how long to wait between attempts."""

from __future__ import annotations

from typing import Any

import msgspec

from actorium.runtime.arguments import SECONDS_MAX, is_seconds
from actorium.store.errors import ConfigurationError
from actorium.store.source import Source


class Retry(msgspec.Struct, frozen=True):
    """A retry policy: up to `attempts` attempts, with exponential backoff.

    attempts: the number of attempts, at least 1.
    backoff_s: seconds to wait after the first failed attempt; doubled after each further one.
    backoff_max_s: the longest wait in seconds, before a jitter of up to a quarter is added.

    The jitter comes from the injected source, so that a simulated run is repeatable.
    """

    attempts: int = 3
    backoff_s: float = 0.1
    backoff_max_s: float = 30.0

    def __post_init__(self) -> None:
        attempts: Any = self.attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise ConfigurationError(f"Retry(attempts={self.attempts!r}): must be an integer, 1 or more")
        first, most = self.backoff_s, self.backoff_max_s
        if not (is_seconds(first) and is_seconds(most) and first <= most):
            raise ConfigurationError(
                f"Retry(backoff_s={first!r}, backoff_max_s={most!r}): must be seconds from 0 to {SECONDS_MAX}, and "
                "the maximum must not be less than the initial value"
            )

    def wait_s(self, attempt: int, source: Source) -> float:
        """Return the seconds to wait after the attempt with this number (from 1) failed."""
        # 2 ** 60 times any backoff exceeds every maximum; the bound keeps the power small.
        doubled = self.backoff_s * 2.0 ** min(attempt - 1, 60)
        return min(self.backoff_max_s, doubled) * (1 + source.random() / 4)


class TryLater(Exception):
    """Raised by a delivery whose receiver accepts nothing now; its processor waits and retries without limit."""

    def __init__(self, reason: str, retry: Retry) -> None:
        super().__init__(reason)
        self.retry = retry


class GoNoFurther(Exception):
    """Raised by a delivery that must not skip an event: its processor stops until an operator resumes it."""
