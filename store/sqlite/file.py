"""The database's file on the disk: where it is, and whether it is still the one that was opened.

A file that is removed or replaced under an open connection goes on taking commits, which nobody will ever read again.
So a commit is acknowledged only after a look at the names: the database and its write-ahead log must be the same
files as at the opening.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Protocol

from actorium.store.errors import ConfigurationError, CorruptStore, StoreUnavailable
from actorium.store.sqlite.connection import Connection, connect
from actorium.store.sqlite.integrity.head_mark import HeadMark
from actorium.store.sqlite.integrity.seal import seal_of, turned_pages, write_seal
from actorium.store.sqlite.lock import FileLock
from actorium.store.sqlite.wal import WriteAheadLog, identity, loss

_State = tuple[int, int, int, int]


class Medium(Protocol):
    """Where the file lies: how it is locked, reached and watched. `engine` is SQLite with its version."""

    path: str
    engine: str

    def require_directory(self) -> None:
        """Raise ConfigurationError when no file can be at the path."""
        ...

    def acquire(self) -> None:
        """Take the right to write the file, or raise StoreInUse at once."""
        ...

    def begin_to_read(self) -> None:
        """Prepare for an opening that only reads, instead of `acquire`; ConfigurationError where there is none."""
        ...

    def release(self) -> None:
        """Give the right back; without it, nothing happens."""
        ...

    async def connect(self, *, read_only: bool, busy_timeout_s: float) -> Connection:
        """Open the file; sqlite3.Error when it cannot be opened."""
        ...

    def remember(self, position: int | None) -> None:
        """Take the file at the path for the one to watch; `position`: the end of its log, None: not to be marked."""
        ...

    def missing(self, position: int) -> str | None:
        """Return what is missing from a log that ends at this position, if more was acknowledged."""
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

    def turned_pages(self) -> Sequence[int] | None:
        """Return the pages whose bits turned over since the last `seal`; None if nobody can tell."""
        ...

    def seal(self, db: sqlite3.Connection) -> None:
        """Note what the file holds, when `db` is the last connection and about to be closed."""
        ...

    def make_room(self, db: sqlite3.Connection) -> None:
        """Prepare the file for the next commit after one that ended, if that makes its flush faster."""
        ...


class DatabaseFile:
    """A path that was made absolute, links resolved; `remember` and `check` watch the files behind it."""

    __slots__ = ("_at_rest", "_identity", "_is_shared", "_lock", "_loss", "_mark", "_wal", "engine", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        if not text or text == ":memory:":
            raise ConfigurationError(f"SQLiteStore needs the path of a file, not {text!r}; for memory use memory://")
        if "\0" in text:
            raise ConfigurationError(f"SQLiteStore needs the path of a file, and {text!r} has a NUL in it")
        self.path = os.path.realpath(text)
        self.engine = f"sqlite {sqlite3.sqlite_version}"
        self._lock = FileLock(self.path)
        self._mark = HeadMark(self.path)
        self._identity = (0, 0)
        self._wal: WriteAheadLog | None = None  # while the file is watched
        self._loss: str | None = None
        self._at_rest: _State | None = None  # as it was found by somebody who only reads, and that nobody else has open
        self._is_shared = False  # by somebody who only reads, with who has it open, or had when it was killed

    def require_directory(self) -> None:
        """Raise ConfigurationError when the file cannot be at its path, because that is no place for a file."""
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            raise ConfigurationError(f"cannot open {self.path}: there is no directory {directory}; make it first")
        if os.path.isdir(self.path):
            raise ConfigurationError(f"cannot open {self.path}: it is a directory, not a file")

    def acquire(self) -> None:
        """Take the right to write the file; raise StoreInUse if another process, or this one, has it.

        Raises CorruptStore where the file is gone and what is beside it says that there was a log.
        """
        self._refuse_lost()
        self._lock.acquire()

    def _refuse_lost(self) -> None:
        """Refuse to begin a new log where an older one was lost: what belongs to one is still beside it."""
        if self.size_bytes() > 0:
            return
        for witness in (seal_of(self.path), self.path + "-wal"):
            if _has_bytes(witness):
                raise CorruptStore(
                    f"{self.path} is {'empty' if os.path.exists(self.path) else 'missing'}, and {witness} says that "
                    f"there was a log: put back a copy, or remove {witness} to begin a new one"
                )

    def release(self) -> None:
        """Give the right to write back, and watch the files no longer."""
        self._at_rest, self._is_shared = None, False
        wal, self._wal = self._wal, None
        if wal is not None:
            self._mark.end(remove=self._loss is None and not _has_bytes(self.path + "-wal"))
            wal.close()
        self._lock.release()

    def begin_to_read(self) -> None:
        """Prepare for an opening that only reads, instead of `acquire`.

        Beside a write-ahead log it is one connection more. Without one nobody has the file open, and it is read as it
        lies: SQLite would make files beside it. Should somebody begin to write it then, `check` says so.
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

    def turned_pages(self) -> list[int] | None:
        """Return the pages whose bits turned over since the last `seal`; None if nobody can tell.

        To be called before the first connection reads: SQLite's locks on a file end when anybody here closes it.
        """
        return None if self._is_shared else turned_pages(self.path)

    def seal(self, db: sqlite3.Connection) -> None:
        """Say beside the file what it holds, when `db` is the last connection and about to be closed."""
        self.check()
        (is_busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:
            write_seal(self.path)

    async def connect(self, *, read_only: bool, busy_timeout_s: float) -> Connection:
        """Open the file on a new thread; sqlite3.Error when it cannot be opened."""
        return await connect(
            self.path, read_only=read_only, busy_timeout_s=busy_timeout_s, at_rest=self._at_rest is not None
        )

    def remember(self, position: int | None) -> None:
        """Take the files that are at the path now for the ones to watch, and mark the end of the log; None: do not."""
        self._loss = None
        self._identity = identity(self.path)
        self._wal = WriteAheadLog(self.path + "-wal")
        if position is None:
            self._mark.end(remove=True)
        else:
            self._mark.begin(position)

    def acknowledged(self) -> int:
        """Return the position that whoever did not close the file last acknowledged, 0 if nobody can tell."""
        return self._mark.read()

    def acknowledge(self, position: int) -> None:
        """Mark the position up to which commits are about to be acknowledged."""
        self._mark.move(position)

    def missing(self, position: int) -> str | None:
        """Return what is missing from a log that ends at this position, if the mark says that there was more."""
        acknowledged = self.acknowledged()
        if position >= acknowledged:
            return None
        return (
            f"{self.path} ends at position {position}, but events up to {acknowledged} were acknowledged: its "
            f"write-ahead log {self.path}-wal is missing or damaged; put it back, or a copy of both, and to go on with "
            f"a log that ends earlier remove {self._mark.path}"
        )

    def check(self) -> None:
        """Raise StoreUnavailable, now and ever after, if a watched file was removed or replaced."""
        wal = self._wal
        if wal is None:
            if self._at_rest is not None and _state(self.path) != self._at_rest:
                raise StoreUnavailable(
                    f"{self.path} was written while it was read, so what was read may be wrong: read it again"
                )
            return
        if self._loss is None:
            self._loss = loss(self.path, self._identity) or wal.loss()
        if self._loss is not None:
            raise StoreUnavailable(
                f"{self._loss} while the store was open, so nothing more can be kept in it: "
                f"stop the process, put the right file in place and start again"
            )

    def make_room(self, db: sqlite3.Connection) -> None:
        """Make the write-ahead log longer if the commit that just ended was small and had to; nothing depends on it."""
        if self._wal is not None:
            self._wal.make_room(db)


def _has_bytes(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _is_shared(path: str) -> bool:
    """Say whether somebody has a file open, or was killed with it open: then its write-ahead log belongs to it."""
    return _has_bytes(path + "-wal") or (os.path.exists(path + "-wal") and os.path.exists(path + "-shm"))


def _state(path: str) -> _State:
    """Return what is another as soon as somebody has written to a file."""
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
