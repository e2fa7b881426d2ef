"""What the writer remembers of the streams: id inside the database, newest version, share of the checksum."""

from __future__ import annotations

import msgspec

from actorium.store.events import StreamName


class StreamHead(msgspec.Struct, eq=False, gc=False):
    """The id of a stream in the database, its newest version, and `stream_checksum` of its name."""

    id: int
    version: int
    checksum: int


class StreamHeads:
    """A bounded memory of stream heads that forgets those not used for long.

    Two generations: when the young one is full it becomes the old one, and what was old is forgotten. That is a
    dict look-up per use, where a linked list of every use would cost several times that.

    Invariant, between two commits: what is remembered is what the database holds, as long as nobody else writes to it.
    A commit moves heads on while it plans; one that fails has everything forgotten.
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
        if head is None and (head := self._old.get(stream)) is not None:
            self._young[stream] = head
        return head

    def add(self, stream: StreamName, head: StreamHead) -> None:
        """Remember the head of a stream that was not remembered."""
        self._young[stream] = head

    def forget(self) -> None:
        """Forget heads that were not used for long, if there are too many."""
        if len(self._young) > self._young_max:
            self._old, self._young = self._young, {}

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
