"""`RateLimit`: how many commands one service may send per second, with bursts of one second's worth."""

from __future__ import annotations

from collections.abc import Callable


class RateLimit:
    """A bucket of tokens that fills with time.

    Invariant: in any `t` seconds, at most `per_s * (t + 1)` commands are let in.
    """

    def __init__(self, per_s: float, time: Callable[[], float]) -> None:
        self.per_s = per_s
        self._time = time
        self._tokens = max(per_s, 1.0)
        self._at = time()

    def wait_s(self) -> float:
        """Take a token and return 0; if there is none, return the seconds until there is."""
        now = self._time()
        self._tokens = min(max(self.per_s, 1.0), self._tokens + (now - self._at) * self.per_s)
        self._at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self.per_s
        self._tokens -= 1.0
        return 0.0
