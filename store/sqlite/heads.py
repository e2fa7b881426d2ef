"""What the writer remembers of the streams: id inside the database, newest version, share of the checksum."""

from __future__ import annotations

import msgspec

from actorium.store.names import StreamName

# What readers offer is taken by the next commits or not at all. About 300 bytes each.
OFFERS_MAX = 10_000


class StreamHead(msgspec.Struct, eq=False, gc=False):
    """The id of a stream in the database, its newest version, and `stream_checksum` of its name."""

    id: int
    version: int
    checksum: int


class StreamHeads:
    """A bounded memory of stream heads that forgets those not used for long.

    Two generations: when the young one is full it becomes the old one, and what was old is forgotten. That is a
    dict look-up per use, where a linked list of every use would cost several times that.

    Whoever reads the log to decide on it has met the head that its append will stand on, and offers it here: a stream
    that comes back from the disk is looked up once, not twice.

    Invariants, between two commits:

    - what is remembered is what the database holds, as long as nobody else writes to it. A commit moves heads on while
      it plans; one that fails has everything forgotten;
    - what is offered was committed once, so it can be behind the database, never ahead of it. It is taken only where an
      append expects that very version: were there a later one by now, the append's first event would meet it in the
      index of versions, and the commit would begin anew without what was offered. Where that append is refused for
      another reason, nothing was proved, and what was taken has to be dropped;
    - `offer` is called on readers' threads, all else on the writer's: they share `_offered`, by single operations of a
      dict.
    """

    __slots__ = ("_offered", "_old", "_young", "_young_max")

    def __init__(self, streams_max: int) -> None:
        self._young_max = max(1, streams_max // 2)
        self._offered: dict[StreamName, StreamHead] = {}
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

    def offer(self, stream: StreamName, head: StreamHead) -> None:
        """Leave the head of a stream as it was read, for the next append to it."""
        if len(self._offered) >= OFFERS_MAX:
            self._offered.clear()
        self._offered[stream] = head

    def take(self, stream: StreamName, version: int) -> StreamHead | None:
        """Return the head that was offered of a stream if it is at this version, and remember it."""
        head = self._offered.pop(stream, None)
        if head is None or head.version != version:
            return None
        self._young[stream] = head
        return head

    def drop(self, stream: StreamName) -> None:
        """Forget the head of one stream."""
        self._young.pop(stream, None)
        self._old.pop(stream, None)

    def forget(self) -> None:
        """Forget heads that were not used for long, if there are too many."""
        if len(self._young) > self._young_max:
            self._old, self._young = self._young, {}

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
        self._offered.clear()
