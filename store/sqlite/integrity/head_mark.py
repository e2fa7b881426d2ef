"""The mark beside a database that is open: the position up to which commits were acknowledged.

What was acknowledged since the last checkpoint is in the write-ahead log alone. SQLite takes one that is missing, or
damaged, for one that ends earlier, and says nothing. So the position of the last acknowledged event stands beside it,
and a log that ends before it is refused at the next opening. After a clean close everything is in the database: the
mark is removed, and a copy may be put back.

It is written into memory shared with the file, which costs no system call, and outlives a kill. After a power cut it is
at most older than the log, as it is written after the flush; so it is kept only where commits are flushed. Its one page
is written before it is mapped: as with SQLite's own -shm, a full disk must not be met in the middle of a store.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from zlib import crc32

# Position and its CRC-32.
_MARK = struct.Struct("<QI")


class HeadMark:
    """The mark of one database; nothing is written before `begin`."""

    __slots__ = ("_memory", "path")

    def __init__(self, database_path: str) -> None:
        self.path = database_path + ".head"
        self._memory: mmap.mmap | None = None

    def read(self) -> int:
        """Return the position in the mark that somebody left, 0 where there is none that can be believed."""
        try:
            with open(self.path, "rb") as file:
                content = file.read(_MARK.size)
        except OSError:
            return 0
        if len(content) != _MARK.size:
            return 0
        position, checksum = _MARK.unpack(content)
        return int(position) if checksum == _checksum(position) else 0

    def begin(self, position: int) -> None:
        """Make the mark; where it cannot be made there is none."""
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(descriptor, _packed(position), 0)
                self._memory = mmap.mmap(descriptor, _MARK.size)
            finally:
                os.close(descriptor)

    def move(self, position: int) -> None:
        """Write a position that was acknowledged."""
        if self._memory is not None:
            self._memory[:] = _packed(position)

    def end(self, *, remove: bool) -> None:
        """Write no more; `remove` where the database holds everything by itself."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()
        if remove:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _packed(position: int) -> bytes:
    return _MARK.pack(position, _checksum(position))


def _checksum(position: int) -> int:
    return crc32(b"%d" % position)
