"""The database's file on the disk: where it is, and whether it is still the one that was opened.

If a file is removed or replaced while a connection is open, the connection still accepts commits that can never be read
again. So a commit is acknowledged only after a check that the database and its write-ahead log are still the files that
were opened.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from actorium.store.errors import ConfigurationError, CorruptStore, StoreUnavailable
from actorium.store.sqlite.connection import Connection, WritingConnection, connect_to_read, connect_to_write
from actorium.store.sqlite.integrity.head_mark import HeadMark
from actorium.store.sqlite.integrity.seal import flipped_pages, seal_of, write_seal
from actorium.store.sqlite.lock import FileLock
from actorium.store.sqlite.wal import WriteAheadLog, identity, loss

_State = tuple[int, int, int, int]


class Medium(Protocol):
    """Where the file is: how it is locked, opened and watched. `engine` is SQLite with its version."""

    path: str
    engine: str

    def require_directory(self) -> None:
        """Raise ConfigurationError if no file can be at the path."""
        ...

    def acquire(self) -> None:
        """Take the write lock of the file, or raise StoreInUse at once."""
        ...

    def begin_to_read(self) -> None:
        """Prepare a read-only opening, instead of `acquire`; raise ConfigurationError if there is no file."""
        ...

    def release(self) -> None:
        """Release the write lock; do nothing if it is not held."""
        ...

    async def connect_to_read(self, *, busy_timeout_s: float) -> Connection:
        """Open the file to read it; raise sqlite3.Error if it cannot be opened."""
        ...

    async def connect_to_write(self, *, busy_timeout_s: float) -> WritingConnection:
        """Open the file to write to it; raise sqlite3.Error if it cannot be opened."""
        ...

    def remember(self, position: int | None) -> None:
        """Watch the file now at the path; `position` is the end of its log, or None to set no mark."""
        ...

    def missing(self, end: Callable[[], int]) -> str | None:
        """Return an error text if the log ends, as `end` reads it, before what was acknowledged."""
        ...

    def acknowledge(self, position: int) -> None:
        """Mark the position up to which commits are about to be acknowledged."""
        ...

    def check(self) -> None:
        """Raise StoreUnavailable if the watched file is no longer the one at the path."""
        ...

    def size_bytes(self) -> int:
        """Return the length of the file, 0 where there is none yet."""
        ...

    def flipped_pages(self) -> Sequence[int] | None:
        """Return the pages whose bits flipped since the last `seal`; None if that is unknown."""
        ...

    def seal(self, db: sqlite3.Connection) -> None:
        """Write the seal of the file if `db` is the last connection and is about to close."""
        ...

    def make_room(self, db: sqlite3.Connection) -> None:
        """Prepare the file after a commit so that the next commit flushes faster, if possible."""
        ...


class DatabaseFile:
    """An absolute path with links resolved; `remember` and `check` watch the files at it."""

    __slots__ = ("_at_rest", "_identity", "_is_shared", "_lock", "_loss", "_mark", "_wal", "engine", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        if not text or text == ":memory:":
            raise ConfigurationError(f"SQLiteStore needs the path of a file, not {text!r}; for memory use memory://")
        if "\0" in text:
            raise ConfigurationError(f"SQLiteStore needs the path of a file, but {text!r} contains a NUL")
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise ConfigurationError(f"SQLiteStore needs the path of a file, but {text!r} is not Unicode") from None
        self.path = os.path.realpath(text)
        self.engine = f"sqlite {sqlite3.sqlite_version}"
        self._lock = FileLock(self.path)
        self._mark = HeadMark(self.path)
        self._identity = (0, 0)
        self._wal: WriteAheadLog | None = None  # while the file is watched
        self._loss: str | None = None
        self._at_rest: _State | None = None  # its state at a read-only opening, when nobody else had it open
        self._is_shared = False  # read-only, beside a process that has it open or was killed with it open

    def require_directory(self) -> None:
        """Raise ConfigurationError if a file cannot exist at the path."""
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            raise ConfigurationError(f"cannot open {self.path}: there is no directory {directory}; create it first")
        if os.path.isdir(self.path):
            raise ConfigurationError(f"cannot open {self.path}: it is a directory, not a file")
        try:
            os.lstat(f"{self.path}-journal")  # the longest name of a file beside it
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigurationError(f"cannot open {self.path}: {error.strerror}") from error

    def acquire(self) -> None:
        """Take the write lock of the file; raise StoreInUse if another process, or this one, holds it.

        Raises CorruptStore if the file is gone but the files beside it show that there was a log.
        """
        self._refuse_lost()
        self._lock.acquire()

    def _refuse_lost(self) -> None:
        """Refuse to start a new log where files of a lost one are still present."""
        if self.size_bytes() > 0:
            return
        for witness in (seal_of(self.path), self.path + "-wal"):
            if _has_bytes(witness):
                raise CorruptStore(
                    f"{self.path} is {'empty' if os.path.exists(self.path) else 'missing'}, but {witness} shows that "
                    f"there was a log: restore a backup, or remove {witness} to start a new log"
                )

    def release(self) -> None:
        """Release the write lock, and stop watching the files."""
        self._at_rest, self._is_shared = None, False
        wal, self._wal = self._wal, None
        if wal is not None:
            self._mark.end(remove=self._loss is None and not _has_bytes(self.path + "-wal"))
            wal.close()
        self._lock.release()

    def begin_to_read(self) -> None:
        """Prepare a read-only opening, instead of `acquire`.

        Beside a write-ahead log it opens one more connection. Without one nobody has the file open, so it is read as it
        is: otherwise SQLite would create files beside it. If a process starts to write to it then, `check` reports it.
        """
        self._refuse_lost()
        try:
            self._is_shared = _is_shared(self.path)
            self._at_rest = None if self._is_shared else _state(self.path)
        except OSError as error:
            raise StoreUnavailable(f"cannot read {self.path}: {error.strerror}") from error

    def size_bytes(self) -> int:
        """Return the length of the file, 0 where there is none yet."""
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0

    def flipped_pages(self) -> list[int] | None:
        """Return the pages whose bits flipped since the last `seal`; None if that is unknown.

        Call this before the first connection reads: SQLite's locks on a file end when the process closes it anywhere.
        """
        return None if self._is_shared else flipped_pages(self.path)

    def seal(self, db: sqlite3.Connection) -> None:
        """Write the seal beside the file if `db` is the last connection and is about to close."""
        self.check()
        (is_busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:
            write_seal(self.path)

    async def connect_to_read(self, *, busy_timeout_s: float) -> Connection:
        """Open the file on a new thread to read it; raise sqlite3.Error if it cannot be opened."""
        return await connect_to_read(self.path, busy_timeout_s=busy_timeout_s, at_rest=self._at_rest is not None)

    async def connect_to_write(self, *, busy_timeout_s: float) -> WritingConnection:
        """Open the file on a new thread to write to it; raise sqlite3.Error if it cannot be opened."""
        return await connect_to_write(self.path, busy_timeout_s=busy_timeout_s)

    def remember(self, position: int | None) -> None:
        """Watch the files that are now at the path, and mark the end of the log unless `position` is None."""
        self._loss = None
        self._identity = identity(self.path)
        self._wal = WriteAheadLog(self.path + "-wal")
        if position is None:
            self._mark.end(remove=True)
        else:
            self._mark.begin(position)

    def acknowledged(self) -> int:
        """Return the last acknowledged position if the file was not closed cleanly, 0 if it is unknown."""
        return self._mark.read()

    def acknowledge(self, position: int) -> None:
        """Mark the position up to which commits are about to be acknowledged."""
        self._mark.move(position)

    def missing(self, end: Callable[[], int]) -> str | None:
        """Return an error text if the log ends, as `end` reads it, before the position in the mark."""
        acknowledged = self.acknowledged()  # before the end: another process may append in between
        position = end()
        if position >= acknowledged:
            return None
        return (
            f"{self.path} ends at position {position}, but events up to {acknowledged} were acknowledged: its "
            f"write-ahead log {self.path}-wal is missing or damaged; restore it, or a backup of both files; to "
            f"continue with the shorter log, remove {self._mark.path}"
        )

    def check(self) -> None:
        """Raise StoreUnavailable, now and on every later call, if a watched file was removed or replaced."""
        wal = self._wal
        if wal is None:
            if self._at_rest is not None and _state(self.path) != self._at_rest:
                raise StoreUnavailable(
                    f"{self.path} was modified while it was read, so the result may be wrong: read it again"
                )
            return
        if self._loss is None:
            self._loss = loss(self.path, self._identity) or wal.loss()
        if self._loss is not None:
            raise StoreUnavailable(
                f"{self._loss} while the store was open, so no more events can be stored: stop the process, restore "
                "the file and start again"
            )

    def make_room(self, db: sqlite3.Connection) -> None:
        """Extend the write-ahead log if the last commit was small and had to extend it; only speed depends on this."""
        if self._wal is not None:
            self._wal.make_room(db)


def _has_bytes(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _is_shared(path: str) -> bool:
    """Return whether a process has a file open, or was killed with it open, so that its write-ahead log is in use."""
    return _has_bytes(path + "-wal") or (os.path.exists(path + "-wal") and os.path.exists(path + "-shm"))


def _state(path: str) -> _State:
    """Return a value that changes as soon as a file is written to."""
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
