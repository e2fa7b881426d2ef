"""What the writer remembers of the streams: id inside the database, newest version, share of the checksum."""

from __future__ import annotations

from collections.abc import Mapping

from actorium.store.events import StreamName

StreamHead = tuple[int, int, int]
"""The id of a stream in the database, its newest version, and `stream_checksum` of its name."""


class StreamHeads:
    """A bounded memory of stream heads that forgets those not used for long.

    Two generations: when the young one is full it becomes the old one, and what was old is forgotten. That is a
    dict look-up or two per use, where a linked list of every use would cost several times that.

    Invariant: what is remembered is what the database holds, as long as nobody else writes to it.
    """

    __slots__ = ("_old", "_young", "_young_max")

    def __init__(self, streams_max: int) -> None:
        self._young_max = max(1, streams_max // 2)
        self._young: dict[StreamName, StreamHead] = {}
        self._old: dict[StreamName, StreamHead] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, stream: StreamName) -> StreamHead | None:
        """Return the head of a stream, None if it is not remembered."""
        head = self._young.get(stream)
        return head if head is not None else self._old.get(stream)

    def update(self, heads: Mapping[StreamName, StreamHead]) -> None:
        """Remember these heads as the ones used last."""
        self._young.update(heads)
        if len(self._young) > self._young_max:
            self._old, self._young = self._young, {}

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
