"""`Violation`: a broken invariant of a run."""

from __future__ import annotations

import msgspec


class Violation(msgspec.Struct, frozen=True):
    """A broken invariant: its name, the expected and actual values, and the time in seconds since the run began.

    culprit: the user's code that broke the invariant, if known.
    is_stated: whether the scenario states the invariant, or failed itself.
    """

    invariant: str
    expected: str
    actual: str
    at_s: float
    step: int
    culprit: str = ""
    is_stated: bool = False

    def __str__(self) -> str:
        return f"{self.invariant}: expected {self.expected}, found {self.actual} (at {self.at_s:.3f} s)"
