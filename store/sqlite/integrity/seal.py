"""The seal of a file at rest: a CRC-32 of each of its pages, written beside it at a clean close.

At the next opening it says in a tenth of a second per 200 MB that no bit has turned over since; to hold the indexes
against the tables takes twenty times as long. A seal vouches for itself: one that is stale, torn, damaged or gone says
nothing, so nothing depends on when it reaches the disk, and a copy of the file needs none.
"""

from __future__ import annotations

import os
from array import array
from zlib import crc32

import msgspec

_READ_BYTES = 1_048_576
PAGE_BYTES = 4_096


class _Seal(msgspec.Struct, array_like=True, frozen=True):
    """What the file was: its length, when it was last written, and the sums of its pages, with a sum of their own."""

    size_bytes: int
    modified_ns: int
    sums: bytes
    checksum: int


def write_seal(path: str) -> None:
    """Seal the file as it is now; OSError if it cannot be read, or its seal not be written."""
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        sums = _sums(file.fileno()).tobytes()
    seal = _Seal(status.st_size, status.st_mtime_ns, sums, crc32(sums))
    with open(seal_of(path), "wb") as out:
        out.write(msgspec.msgpack.encode(seal))


def remove_seal(path: str) -> None:
    """Take the seal away, if there is one: whoever opens the file next has it looked through."""
    try:
        os.unlink(seal_of(path))
    except FileNotFoundError:
        pass


def turned_pages(path: str) -> list[int] | None:
    """Return the pages, counted from 1, whose bits turned over since the file was sealed; None if nobody can tell.

    Nobody can where there is no seal, or something was written since: another program, or a write-ahead log.
    """
    try:
        with open(seal_of(path), "rb") as file:
            seal = msgspec.msgpack.decode(file.read(), type=_Seal)
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size != seal.size_bytes or crc32(seal.sums) != seal.checksum or _has_more(path):
                return None
            found = _sums(file.fileno())
    except (OSError, msgspec.DecodeError):
        return None
    sealed = array("I", seal.sums)
    if found == sealed:
        return []
    if status.st_mtime_ns != seal.modified_ns or len(found) != len(sealed):
        return None
    return [page for page, (now, then) in enumerate(zip(found, sealed, strict=True), 1) if now != then]


def _sums(descriptor: int) -> array[int]:
    sums = array("I")
    while content := os.read(descriptor, _READ_BYTES):
        view = memoryview(content)
        sums.extend([crc32(view[start : start + PAGE_BYTES]) for start in range(0, len(content), PAGE_BYTES)])
    return sums


def _has_more(path: str) -> bool:
    """Return whether a write-ahead log holds what the file does not."""
    try:
        return os.stat(path + "-wal").st_size > 0
    except FileNotFoundError:
        return False


def seal_of(path: str) -> str:
    """Return where the seal of a file is."""
    return path + ".seal"
