"""The checksum of a checkpoint, a dead letter or a snapshot, the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from actorium.store.event_store import DeadLetter, Snapshot


def row_checksum(values: Sequence[Any]) -> int:
    """Return the CRC-32 of a row's values."""
    return crc32("\0".join(map(str, values)).encode())


def dead_letter_values(letter: DeadLetter) -> tuple[Any, ...]:
    """Return the columns of a dead letter, in the order of its table."""
    return (
        letter.processor,
        letter.position,
        letter.stream.type,
        letter.stream.id,
        letter.version,
        letter.event_type,
        letter.error,
        letter.traceback,
        letter.attempts,
        letter.parked_us,
        letter.discarded,
    )


def snapshot_checksum(snapshot: Snapshot) -> int:
    """Return the CRC-32 of all the values of a snapshot."""
    stream = snapshot.stream
    name = f"{stream.type}\0{stream.id}\0{snapshot.fingerprint}\0{snapshot.version}"
    return crc32(snapshot.state, crc32(name.encode()))
