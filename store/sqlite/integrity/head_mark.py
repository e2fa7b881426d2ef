"""The mark beside an open database: the position up to which commits were acknowledged.

Commits acknowledged since the last checkpoint are in the write-ahead log alone. SQLite treats a missing or damaged
write-ahead log as a shorter one, without an error. So the mark holds the position of the last acknowledged event, and
the next opening refuses a log that ends before it. After a clean close everything is in the database: the mark is
removed, and a copy may be restored.

The mark is memory shared with the file: it costs no system call and survives a killed process. After a power cut it
may be older than the log but never newer, because it is written after the flush; so it is kept only if commits are
flushed. Its single page is written before it is mapped: as with SQLite's own -shm, a full disk must not be discovered
in the middle of a store.
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
        """Return the position in an existing mark, 0 if there is no valid one."""
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
        """Create the mark; if that fails there is none."""
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(descriptor, _packed(position), 0)
                self._memory = mmap.mmap(descriptor, _MARK.size)
            finally:
                os.close(descriptor)

    def move(self, position: int) -> None:
        """Write an acknowledged position."""
        if self._memory is not None:
            self._memory[:] = _packed(position)

    def end(self, *, remove: bool) -> None:
        """Stop writing; `remove` if the database itself holds everything."""
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
