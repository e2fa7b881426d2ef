"""One measurement at a time: two at once disturb each other, and both are told."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

_NAME = "actorium-bench.lock"


class Turn:
    """Whether another program measured at the same time. A second program writes a byte to the lock's file."""

    def __init__(self, descriptor: int | None, *, is_mine: bool) -> None:
        self._descriptor = descriptor
        self._is_mine = is_mine

    @property
    def is_disturbed(self) -> bool:
        """Whether another program measured, or measures, at the same time."""
        return self._descriptor is not None and (not self._is_mine or os.fstat(self._descriptor).st_size > 0)


@contextmanager
def turn(folder: Path | None = None) -> Iterator[Turn]:
    """Take the turn on this machine, or notify the program that has it; if no lock can be created, nobody is notified.

    folder: the folder of the lock. [default: the temporary folder]
    """
    if not _HAS_LOCKS:
        yield Turn(None, is_mine=False)
        return
    path = (folder or Path(tempfile.gettempdir())) / _NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:  # another user's lock
        yield Turn(None, is_mine=False)
        return
    try:
        yield Turn(descriptor, is_mine=_take(descriptor))
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.pwrite(descriptor, b"!", 0)
        return False
    os.ftruncate(descriptor, 0)
    return True
