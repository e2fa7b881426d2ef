"""How a check says what it found."""

from __future__ import annotations

from typing import Protocol


class Violated(Protocol):
    """Takes the name of an invariant that does not hold, what should have been, and what was.

    culprit: the user's code that broke it, where that is known. is_stated: the scenario has a part in the invariant.
    """

    def __call__(
        self, invariant: str, expected: object, actual: object, *, culprit: str = "", is_stated: bool = False
    ) -> None:
        """Take note of it."""
