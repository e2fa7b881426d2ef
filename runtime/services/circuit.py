"""`Circuit`: stops asking a service that does not answer, and tries again from time to time.

Invariants: it opens after `FAILURES_TO_OPEN` failures in a row, if nothing was answered for `_SILENCE_S` seconds; while
it is open, nothing is sent; when its time is over, a single command is let through, and its outcome closes the circuit
or opens it for twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from actorium.runtime.errors import ServiceUnavailable
from actorium.store.log import logger

log = logger("actorium.services")

FAILURES_TO_OPEN = 5
# In an overload some commands time out together, between others that are answered.
_SILENCE_S = 1.0
_OPEN_S = 1.0
_OPEN_MAX_S = 30.0


class Circuit:
    """The circuit to one service; `time` is the loop's clock."""

    def __init__(self, service: str, time: Callable[[], float]) -> None:
        self._service = service
        self._time = time
        self._failures = 0
        self._answered_at = -math.inf
        self._open_s = _OPEN_S
        self._open_until: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        """Whether commands are refused without being sent."""
        return self._open_until is not None

    def require_closed(self) -> None:
        """Return if a command may be sent; raise ServiceUnavailable while the circuit is open."""
        if self._open_until is None:
            return
        left_s = self._open_until - self._time()
        if left_s <= 0 and not self._is_trying:
            self._is_trying = True
            return
        raise ServiceUnavailable(
            f"{self._service} did not answer {self._failures} commands in a row, so nothing is sent to it now",
            service=self._service,
            retry_after_s=max(left_s, 0.1),
        )

    def answered(self) -> None:
        """Note that the service is there."""
        self._failures = 0
        self._answered_at = self._time()
        self._is_trying = False
        if self._open_until is not None:
            self._open_until = None
            self._open_s = _OPEN_S
            log.info("circuit_closed", service=self._service)

    def failed(self) -> None:
        """Note that a command had no answer."""
        self._failures += 1
        if self._open_until is not None:
            if not self._is_trying:
                return  # it was sent before the circuit opened
            self._open_s = min(self._open_s * 2, _OPEN_MAX_S)
        elif self._failures < FAILURES_TO_OPEN or self._time() - self._answered_at < _SILENCE_S:
            return
        else:
            log.error("circuit_opened", service=self._service, failures=self._failures)
        self._is_trying = False
        self._open_until = self._time() + self._open_s

    def left(self) -> None:
        """Note that the caller of a command left before its outcome was known."""
        self._is_trying = False
