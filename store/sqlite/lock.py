"""The lock that stops a second process from writing the same SQLite file.

It is an advisory lock of the operating system on `<file>.lock` beside the database. The system releases it when the
holder dies, however that happens. The file is never removed, because two processes could then lock two different files
of that name. It contains the pid of the last holder.

One file can have two names: a hard link, or a bind mount into another container. SQLite finds its write-ahead log by
name, so a commit through one name is not visible through the other. A file with a hard link is refused, and on Linux
the file itself is locked too. (Elsewhere such a lock would conflict with SQLite's own.)

Invariants:
- a forked child holds no lock: it closes its copies of the descriptors, so a lock ends with the process that took it;
- this process does not open a file here that it already holds. SQLite's locks on it are POSIX locks, which end when
  any descriptor of the file is closed in the process. Its descriptor here is closed after SQLite's connections.
"""

from __future__ import annotations

import os
import sys

from actorium.store.errors import ConfigurationError, StoreInUse, StoreUnavailable

try:
    import fcntl
except ImportError:  # a system without POSIX locks
    fcntl = None  # type: ignore[assignment]

_LOCKS_FILES = sys.platform == "linux"


class FileLock:
    """The exclusive write lock of one database, held from `acquire` to `release`."""

    __slots__ = ("_descriptor", "_file", "_path", "_subject")

    def __init__(self, database_path: str) -> None:
        """Name the lock of a database by its `os.path.realpath`, so that links share one lock."""
        self._subject = database_path
        self._path = database_path + ".lock"
        self._descriptor: int | None = None
        self._file: int | None = None  # the descriptor that locks the database itself

    def acquire(self) -> None:
        """Take the lock, creating the database if there is none, or raise StoreInUse at once.

        Raises ConfigurationError for a database with two names, StoreUnavailable if the lock file cannot be created.
        """
        if fcntl is None:
            raise ConfigurationError("the SQLite store needs POSIX file locks, which this system does not have")
        self._refuse_second_name()
        self._descriptor = self._lock_name()
        _held.add(self)
        try:
            if _LOCKS_FILES:
                self._file = self._lock_file()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the lock; do nothing if it is not held."""
        for descriptor in (self._file, self._descriptor):
            if descriptor is not None:
                # Unlock explicitly, not only by closing: a process forked outside Python may hold a copy.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)
        self._descriptor = self._file = None
        _held.discard(self)

    def leave_to_parent(self) -> None:
        """Close this process's copies of the descriptors if it was forked from the process that holds the lock."""
        for descriptor in (self._file, self._descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._file = None
        _held.discard(self)

    def _lock_name(self) -> int:
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StoreUnavailable(f"cannot create the lock of {self._subject}: {error}") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(descriptor):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                    return descriptor
            except BlockingIOError:
                pid = _pid_in(descriptor)
                os.close(descriptor)
                raise StoreInUse(self._refusal(pid), pid=pid) from None
            except OSError as error:
                os.close(descriptor)
                raise StoreUnavailable(f"cannot lock {self._path}: {error}") from error
            os.close(descriptor)  # the file was removed between the two calls: lock the current one

    def _lock_file(self) -> int:
        if any(lock._holds(self._subject) for lock in _held):
            raise StoreInUse(self._refusal(os.getpid()), pid=os.getpid())
        try:
            descriptor = os.open(self._subject, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnavailable(f"cannot open {self._subject}: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreInUse(
                f"{self._subject} is in use under another name, through a bind mount or in another container: stop "
                "the process that has it open, or give this one its own file"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StoreUnavailable(f"cannot lock {self._subject}: {error}") from error
        return descriptor

    def _refuse_second_name(self) -> None:
        try:
            names = os.stat(self._subject).st_nlink
        except OSError:
            return
        if names > 1:
            raise ConfigurationError(
                f"{self._subject} has {names} names (hard links), but its write-ahead log is found by name, so "
                "commits under one name would be missing under the other: remove the other name, or use a copy of "
                "the file"
            )

    def _holds(self, path: str) -> bool:
        try:
            return self._file is not None and os.path.samestat(os.fstat(self._file), os.stat(path))
        except FileNotFoundError:
            return False

    def _is_current(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _refusal(self, pid: int | None) -> str:
        if pid == os.getpid():
            return (
                f"{self._subject} is already open in this process: use the runtime or store that has it open, or stop "
                "that first"
            )
        if pid is not None and not _is_running(pid):
            return (
                f"{self._subject} is in use: process {pid}, which locked it, is not running here, so the lock is held "
                "by a process that was forked from it or runs in another container: stop that process first"
            )
        holder = f"process {pid}" if pid is not None else "another process"
        return (
            f"{self._subject} is in use by {holder}: only one process can have an SQLite log open for writing, so run "
            "one worker per log; stop that process first, or give this one its own file"
        )


def _pid_in(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 32, 0))
    except ValueError:
        return None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # the process belongs to another user
    return True


_held: set[FileLock] = set()  # includes stores that were never closed: their locks last as long as the process


def _leave_all_to_parent() -> None:
    for lock in tuple(_held):
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all_to_parent)
