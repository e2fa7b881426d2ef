"""The marks of commands beside their last event, and the check that finds a damaged mark.

One column holds the number of a command's events and a CRC-32 of the whole mark. Older marks have no checksum; they are
accepted unless their values are impossible.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from actorium.store.events import CHECKSUM_MASK, CHECKSUM_SPREAD
from actorium.store.names import CommandRecord, StreamName
from actorium.store.sqlite.packed import InDoubt

FIND_COMMANDS = (
    "SELECT command_id, command_fingerprint, streams.type, streams.name, command_events, version, position "
    "FROM events JOIN streams ON streams.id = events.stream WHERE command_id IN (VALUES {rows})"
)
"""A `RowStatement` that finds the marks of commands by their ids; its rows are the arguments of `command_record`."""

# Bits of the column: 62 is set if there is a checksum, 30 to 61 are the checksum, the rest is the number of events. If
# the checksum were the low bits, a flip that halves the column's length would leave a count without a checksum.
_HAS_CHECKSUM = 1 << 62
_CHECKSUM_SHIFT = 30
_COUNT_MASK = (1 << _CHECKSUM_SHIFT) - 1


def events_column(command_id: str, fingerprint: int, version: int, count: int) -> int:
    """Return the value of the mark's column for a command whose last event has this version."""
    seed = (fingerprint ^ fingerprint >> 32 ^ (version * CHECKSUM_SPREAD + count)) & CHECKSUM_MASK
    return _HAS_CHECKSUM | crc32(command_id.encode(), seed) << _CHECKSUM_SHIFT | count


def command_record(
    command_id: str, fingerprint: Any, type_: Any, name: Any, column: Any, version: Any, position: Any
) -> CommandRecord:
    """Return where a command took effect; raise InDoubt for an impossible mark."""
    numbers = (fingerprint, column, version, position)
    is_mark = all(type(number) is int for number in numbers)
    count = column
    if is_mark and column >= _HAS_CHECKSUM:
        count = column & _COUNT_MASK
        is_mark = column == events_column(command_id, fingerprint, version, count)
    if not is_mark or not 1 <= count <= version:
        raise InDoubt(f"the mark of command {command_id!r} is damaged: a disk error or a manual edit changed it")
    return CommandRecord(
        command_id, fingerprint, StreamName(_text(type_), _text(name)), version - count + 1, version, position
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
