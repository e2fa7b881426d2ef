"""The seal of a closed file: a CRC-32 of each of its pages, written beside it at a clean close.

At the next opening it shows, in 0.1 s per 200 MB, that no bit has flipped since; checking the indexes against the
tables takes twenty times as long. A seal checks itself: one that is stale, torn, damaged or missing is ignored, so it
does not matter when it reaches the disk, and a copy of the file needs none.
"""

from __future__ import annotations

import os
from array import array
from zlib import crc32

import msgspec

_READ_BYTES = 1_048_576
PAGE_BYTES = 4_096


class _Seal(msgspec.Struct, array_like=True, frozen=True):
    """The state of the file: its length, its last write time, the sums of its pages, and a sum over those."""

    size_bytes: int
    modified_ns: int
    sums: bytes
    checksum: int


def write_seal(path: str) -> None:
    """Seal the file as it is now; raise OSError if the file cannot be read or the seal cannot be written."""
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        sums = _sums(file.fileno()).tobytes()
    seal = _Seal(status.st_size, status.st_mtime_ns, sums, crc32(sums))
    with open(seal_of(path), "wb") as out:
        out.write(msgspec.msgpack.encode(seal))


def remove_seal(path: str) -> None:
    """Remove the seal, if any, so that the next opening verifies the file."""
    try:
        os.unlink(seal_of(path))
    except FileNotFoundError:
        pass


def flipped_pages(path: str) -> list[int] | None:
    """Return the pages, numbered from 1, whose bits flipped since the file was sealed; None if that is unknown.

    It is unknown without a seal, or if something was written since, by another program or to a write-ahead log.
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
    """Return whether a write-ahead log holds data that the file does not."""
    try:
        return os.stat(path + "-wal").st_size > 0
    except FileNotFoundError:
        return False


def seal_of(path: str) -> str:
    """Return the path of a file's seal."""
    return path + ".seal"
