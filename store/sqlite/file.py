"""The database's file on the disk: where it is, and whether it is still the one that was opened.

A file that is removed or replaced under an open connection goes on taking commits, which nobody will ever read again.
So a commit is acknowledged only after a look at the names: the database and its write-ahead log must be the same
files as at the opening.

A flush takes twice as long where the write-ahead log has grown since the last one, because the file system then writes
down its new length too (measured on ext4: 230 against 480 microseconds). So the log is made longer ahead of the small
commits, by zeros, which SQLite passes over as it does over what is left there from before a checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3

from actorium.store.errors import ConfigurationError, StoreUnavailable
from actorium.store.sqlite.connection import Connection, connect
from actorium.store.sqlite.lock import FileLock
from actorium.store.sqlite.seal import turned_pages, write_seal

# What the log is made longer by; a commit that took more than a part of it is better off without.
_ROOM_BYTES = 262_144
_SMALL_COMMIT_BYTES = 65_536


class DatabaseFile:
    """A path that was made absolute, links resolved; `remember` and `check` watch the files behind it."""

    __slots__ = ("_lock", "_loss", "_wal_bytes", "_watched", "engine", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        if not text or text == ":memory:":
            raise ConfigurationError(f"SQLiteStore needs the path of a file, not {text!r}; for memory use memory://")
        self.path = os.path.realpath(text)
        self.engine = f"sqlite {sqlite3.sqlite_version}"
        self._lock = FileLock(self.path)
        self._watched: list[tuple[str, tuple[int, int]]] = []
        self._wal_bytes = 0  # the length of the write-ahead log when it was last made longer, or grew
        self._loss: str | None = None

    def require_directory(self) -> None:
        """Raise ConfigurationError when the file cannot be at its path, because that is no place for a file."""
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            raise ConfigurationError(f"cannot open {self.path}: there is no directory {directory}; make it first")
        if os.path.isdir(self.path):
            raise ConfigurationError(f"cannot open {self.path}: it is a directory, not a file")

    def acquire(self) -> None:
        """Take the right to write the file; raise StoreInUse if another process, or this one, has it."""
        self._lock.acquire()

    def release(self) -> None:
        """Give the right to write back."""
        self._lock.release()

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
        return turned_pages(self.path)

    def seal(self, db: sqlite3.Connection) -> None:
        """Say beside the file what it holds, when `db` is the last connection and about to be closed."""
        self.check()
        (is_busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:
            write_seal(self.path)

    async def connect(self, *, read_only: bool, busy_timeout_s: float) -> Connection:
        """Open the file on a new thread; sqlite3.Error when it cannot be opened."""
        return await connect(self.path, read_only=read_only, busy_timeout_s=busy_timeout_s)

    def remember(self) -> None:
        """Take the files that are at the path now for the ones to watch."""
        self._loss = None
        self._watched = [(name, _identity(name)) for name in (self.path, self.path + "-wal")]
        self._wal_bytes = os.stat(self.path + "-wal").st_size

    def check(self) -> None:
        """Raise StoreUnavailable, now and ever after, if a watched file was removed or replaced."""
        if self._loss is None:
            for name, identity in self._watched:
                try:
                    status = os.stat(name)
                except OSError:
                    self._loss = f"{name} was removed"
                    break
                if (status.st_dev, status.st_ino) != identity:
                    self._loss = f"{name} was replaced by another file"
                    break
            else:
                return
        raise StoreUnavailable(
            f"{self._loss} while the store was open, so nothing more can be kept in it: "
            f"stop the process, put the right file in place and start again"
        )

    def make_room(self, db: sqlite3.Connection) -> None:
        """Make the write-ahead log longer if the commit that just ended was small and had to; nothing depends on it."""
        name = self.path + "-wal"
        grown = os.stat(name).st_size - self._wal_bytes
        if grown <= 0:
            return
        self._wal_bytes += grown
        if grown > _SMALL_COMMIT_BYTES:
            return
        with contextlib.suppress(OSError, sqlite3.Error):
            # The right to write, so that no other program's commit can lie where the zeros go.
            db.execute("BEGIN IMMEDIATE")
            try:
                with open(name, "r+b") as wal:
                    wal.seek(0, os.SEEK_END)
                    wal.write(bytes(_ROOM_BYTES))
                    self._wal_bytes = wal.tell()
            finally:
                db.execute("ROLLBACK")


def _identity(name: str) -> tuple[int, int]:
    status = os.stat(name)
    return status.st_dev, status.st_ino
