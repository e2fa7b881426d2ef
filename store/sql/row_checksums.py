"""The checksum of a checkpoint, a dead letter or a snapshot, the same in every database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from actorium.store.errors import CorruptRow
from actorium.store.event_store import DeadLetter, Snapshot
from actorium.store.names import StreamName


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


def verified_letters(rows: Iterable[Sequence[Any]], processor: str | None) -> list[DeadLetter]:
    """Return the dead letters of one processor or of all from the rows of all, each with its checksum last.

    The rows of other processors are checked too: the damaged value may be the processor's name. Rows of early versions
    of SQLite's schema have no checksum. Raises CorruptRow.
    """
    letters = []
    for name, kind, id, *rest, checksum in rows:
        letter = DeadLetter(name, StreamName(kind, id), *rest)
        if checksum not in (None, row_checksum(dead_letter_values(letter))):
            raise CorruptRow(
                f"a dead letter of {name!r}, at position {letter.position!r}, does not match its checksum: "
                f"a disk error or a manual edit changed it"
            )
        if processor in (None, name):
            letters.append(letter)
    return letters


def snapshot_checksum(snapshot: Snapshot) -> int:
    """Return the CRC-32 of all the values of a snapshot."""
    stream = snapshot.stream
    name = f"{stream.type}\0{stream.id}\0{snapshot.fingerprint}\0{snapshot.version}"
    return crc32(snapshot.state, crc32(name.encode()))
