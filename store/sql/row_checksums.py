"""The checksum of a checkpoint or a dead letter, the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from actorium.store.event_store import DeadLetter


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
