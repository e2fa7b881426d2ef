"""The lock that keeps a second process from writing the same SQLite file.

It is an advisory lock of the operating system on `<file>.lock` beside the database, which the system itself takes
back when the holder dies, however it dies. The file stays where it is: its content is the pid of the last holder, and
removing it would let two processes lock two different files of that name.
"""

from __future__ import annotations

import os

from actorium.store.errors import ConfigurationError, StoreInUse, StoreUnavailable

try:
    import fcntl
except ImportError:  # a system without POSIX locks
    fcntl = None  # type: ignore[assignment]


class FileLock:
    """The right to write one database, held from `acquire` to `release`."""

    __slots__ = ("_descriptor", "_path", "_subject")

    def __init__(self, database_path: str) -> None:
        """Name the lock of a database by the path that `os.path.realpath` gave, so that links meet the same lock."""
        self._subject = database_path
        self._path = database_path + ".lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise StoreInUse at once; StoreUnavailable when the lock's file cannot be made."""
        if fcntl is None:
            raise ConfigurationError("the SQLite store needs POSIX file locks, which this system does not have")
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StoreUnavailable(f"cannot make the lock of {self._subject}: {error}") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(descriptor):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                    self._descriptor = descriptor
                    return
            except BlockingIOError:
                pid = _pid_in(descriptor)
                os.close(descriptor)
                raise StoreInUse(self._refusal(pid), pid=pid) from None
            except OSError as error:
                os.close(descriptor)
                raise StoreUnavailable(f"cannot lock {self._path}: {error}") from error
            os.close(descriptor)  # somebody removed the file between the two calls: lock the one that is there now

    def release(self) -> None:
        """Give the lock back; without it, nothing happens."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Unlocked by word, not only by closing: a forked child may hold a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _refusal(self, pid: int | None) -> str:
        if pid == os.getpid():
            return f"{self._subject} is open in this process already: use that store, or close it first"
        holder = f"process {pid}" if pid is not None else "another process"
        return f"{self._subject} is in use by {holder}: stop that one first, or give this one a file of its own"


def _pid_in(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 32, 0))
    except ValueError:
        return None
