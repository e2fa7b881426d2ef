"""The writer's cache of streams: id in the database, newest version, stream part of the checksum."""

from __future__ import annotations

import msgspec

from actorium.store.names import StreamName

# The next commits use an offered head or drop it. About 300 bytes each.
OFFERS_MAX = 10_000


class StreamHead(msgspec.Struct, eq=False, gc=False):
    """The id of a stream in the database, its newest version, and `stream_checksum` of its name."""

    id: int
    version: int
    checksum: int


class StreamHeads:
    """A bounded cache of stream heads that drops the least recently used.

    It has two generations: when the young one is full it becomes the old one, and the previous old one is dropped. That
    costs one dict look-up per use; a linked list of every use would cost several times as much.

    A reader that hydrates an actor has seen the head that the actor's append expects, and offers it here. So a stream
    that returns from the disk is looked up once, not twice.

    Invariants, between two commits:
    - the cache matches the database, as long as nobody else writes to it. A commit advances heads while it plans; a
      failed commit clears the cache;
    - an offered head was committed once, so it can be behind the database, never ahead of it. It is used only if an
      append expects that exact version. If the stream has a later version, the database refuses the append's
      first event, and the commit starts again without offers. If that append is rejected for another reason,
      the offer is unproved and must be dropped;
    - `offer` runs on readers' threads, everything else on the writer's. They share `_offered` through single dict
      operations.
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
        """Return the head of a stream; None if it is not cached."""
        head = self._young.get(stream)
        if head is None and (head := self._old.get(stream)) is not None:
            self._young[stream] = head
        return head

    def add(self, stream: StreamName, head: StreamHead) -> None:
        """Cache the head of a stream that was not cached."""
        self._young[stream] = head

    def offer(self, stream: StreamName, head: StreamHead) -> None:
        """Offer the head of a stream, as read, for the next append to it."""
        if len(self._offered) >= OFFERS_MAX:
            self._offered.clear()
        self._offered[stream] = head

    def take(self, stream: StreamName, version: int) -> StreamHead | None:
        """Return and cache the offered head of a stream if it is at this version."""
        head = self._offered.pop(stream, None)
        if head is None or head.version != version:
            return None
        self._young[stream] = head
        return head

    def drop(self, stream: StreamName) -> None:
        """Drop the head of one stream."""
        self._young.pop(stream, None)
        self._old.pop(stream, None)

    def forget(self) -> None:
        """Drop the least recently used heads if there are too many."""
        if len(self._young) > self._young_max:
            self._old, self._young = self._young, {}

    def clear(self) -> None:
        """Clear the cache."""
        self._young, self._old = {}, {}
        self._offered.clear()
