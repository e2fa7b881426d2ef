"""`SkipMarks`: the events that followers of the log treat as if they had not happened."""

from __future__ import annotations


class SkipMarks:
    """The positions of these events by follower; a follower and whoever adds marks share one set.

    A follower is named by its kind and its plain name, without a version, so that a rebuild has the same marks.
    """

    def __init__(self) -> None:
        self._positions: dict[str, set[int]] = {}

    def of(self, follower: str) -> set[int]:
        """Return the positions that a follower skips; later marks are added to the same set."""
        return self._positions.setdefault(follower, set())
