"""`HashChain`: a SHA-256 hash over the events of a log, which any change of an event changes.

The log is divided into segments of `SEGMENT_EVENTS` events. The hash at the end of a segment, its *link*, is over the
link before it and the events of the segment; the hash at any other position is over the link before it and the events
up to that position. So it depends on the events alone: not on commits, not on the database. A copy of a log and a
restored backup have the same hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from actorium.store.event_store import EventStore
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import StreamName
from actorium.store.tables.own_rows import KeptState, ReadKeptState

SEGMENT_EVENTS = 256
"""The number of events between two links. A change of an event is traced to a segment."""
CHAIN = "chain"
"""The name of the checkpoint that says up to which position links are stored."""

_BEFORE_ALL = sha256(b"actorium chain 1").digest()
_VERSION = 1  # of the definition above

_encode = msgspec.msgpack.Encoder().encode


class ChainLink(msgspec.Struct, frozen=True):
    """The hash of the chain, in hexadecimal digits, at the end of a segment."""

    position: int
    hash: str


def event_bytes(
    event: EncodedEvent | EncodedRecord, stream: StreamName, version: int, position: int, recorded_us: int
) -> bytes:
    """Return the bytes of an event that are hashed: a MessagePack array of everything that the log holds about it."""
    return _encode(
        (
            position,
            stream.type,
            stream.id,
            version,
            recorded_us,
            event.type,
            event.schema_version,
            event.payload,
            event.metadata,
        )
    )


class HashChain:
    """The chain up to a position: at first the beginning of the log, or a link."""

    __slots__ = ("_hash", "_link", "position")

    def __init__(self, link: ChainLink | None = None) -> None:
        self.position = 0 if link is None else link.position
        assert self.position % SEGMENT_EVENTS == 0, "a chain continues only at the end of a segment"
        self._link = _BEFORE_ALL if link is None else bytes.fromhex(link.hash)
        self._hash = sha256(self._link)

    @property
    def hash(self) -> str:
        """The hash at the position, in hexadecimal digits."""
        return (self._hash.digest() if self.position % SEGMENT_EVENTS else self._link).hex()

    def add(self, records: Sequence[EncodedRecord]) -> list[ChainLink]:
        """Add the events that follow the position; return the links that they complete."""
        assert not records or records[0].position == self.position + 1, "events are added in the order of the log"
        return self.add_bytes(
            [event_bytes(one, one.stream, one.version, one.position, one.recorded_us) for one in records]
        )

    def add_bytes(self, events: Sequence[bytes]) -> list[ChainLink]:
        """Add the events that follow the position, each as `event_bytes` returns it; return the completed links."""
        links: list[ChainLink] = []
        start = 0
        while start < len(events):
            room = SEGMENT_EVENTS - self.position % SEGMENT_EVENTS
            segment = events[start : start + room]
            self._hash.update(b"".join(segment))
            self.position += len(segment)
            start += len(segment)
            if self.position % SEGMENT_EVENTS == 0:
                self._link = self._hash.digest()
                self._hash = sha256(self._link)
                links.append(ChainLink(self.position, self._link.hex()))
        return links


def kept_link(link: ChainLink) -> KeptState:
    """Return the row in which a link is stored."""
    return KeptState(_row_name(link.position), _VERSION, link.position, b'"%b"' % link.hash.encode())


async def read_link(store: EventStore, position: int) -> ChainLink | None:
    """Return the link that is stored for a position; None if there is none, or none of this definition."""
    rows = await store.read_rows(ReadKeptState(_row_name(position), _VERSION))
    hash_ = rows[0].state.decode(errors="replace").strip('"') if rows else ""
    is_hash = len(hash_) == len(_BEFORE_ALL.hex()) and set(hash_) <= set("0123456789abcdef")
    return ChainLink(position, hash_) if is_hash else None


def _row_name(position: int) -> str:
    return f"{CHAIN} {position}"
