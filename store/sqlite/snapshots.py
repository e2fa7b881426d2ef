"""The checksum of a snapshot, by which damage is detected."""

from __future__ import annotations

from zlib import crc32

from actorium.store.event_store import Snapshot


def snapshot_checksum(snapshot: Snapshot) -> int:
    """Return the CRC-32 of all the values of a snapshot."""
    stream = snapshot.stream
    name = f"{stream.type}\0{stream.id}\0{snapshot.fingerprint}\0{snapshot.version}"
    return crc32(snapshot.state, crc32(name.encode()))
