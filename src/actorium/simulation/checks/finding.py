"""How a check reports a violation."""

from __future__ import annotations

from typing import Final, Protocol

DECIDED: Final = "a decision follows from the state before it"
EVOLVED: Final = "state in memory equals replayed state"
PROJECTED: Final = "a projection is the fold of the log"
UNSTEADY: Final = (DECIDED, EVOLVED, PROJECTED)
"""The invariants broken by code that gives different results when it is called again with the same input."""


class Violated(Protocol):
    """Called with the name of a violated invariant, the expected value and the actual one.

    culprit: the user's code that broke the invariant, if known.
    is_stated: whether the scenario defines the invariant, at least in part.
    """

    def __call__(
        self, invariant: str, expected: object, actual: object, *, culprit: str = "", is_stated: bool = False
    ) -> None:
        """Record the violation."""
