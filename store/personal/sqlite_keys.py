"""`SQLiteKeys`: keys in an SQLite file of their own, beside the log and not part of its backups.

A destroyed key leaves no bytes behind. `secure_delete` overwrites a deleted row, and the rollback journal, which held
it, is deleted with the commit. SQLite may also have left a copy of a row in the unused part of a page when it moved
rows between pages. So the file is searched after each deletion, and rewritten if it still holds the key.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar
from urllib.parse import quote

import msgspec

from actorium.store.errors import StoreUnavailable
from actorium.store.personal.keys import SubjectKey, new_key

T = TypeVar("T")

_FORMAT = 1
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS keys (
        number INTEGER PRIMARY KEY, subject TEXT NOT NULL UNIQUE, id TEXT NOT NULL, key BLOB NOT NULL
    );
"""
_READ = "SELECT subject, id, key FROM keys WHERE subject = ?"
_BUSY_TIMEOUT_S = 5.0
_CHUNK_BYTES = 1_048_576


class SQLiteKeys:
    """Keys in the SQLite file at `path`, which only its owner can read.

    The file is created with the first key. Each write waits for the disk.
    """

    waits = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(path)
        self._db: sqlite3.Connection | None = None
        # Closed after the connection: SQLite's locks end when any descriptor of its file is closed in the process.
        self._file = -1
        self._lock = Lock()
        self._is_read_only = False

    def open(self, *, read_only: bool = False) -> None:
        self._is_read_only = read_only

    def close(self) -> None:
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                db.close()
                os.close(self._file)

    def exists(self) -> bool:
        return os.path.exists(self.path) and os.path.getsize(self.path) > 0

    def prepare(self) -> None:
        def create(db: sqlite3.Connection) -> None:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")

        if not self.exists():
            try:  # before SQLite, which would let others read it
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError as error:
                raise StoreUnavailable(f"{self.describe()} cannot be created: {error.strerror}") from error
            self._run(create)

    def new(self, subject: str) -> SubjectKey:
        return new_key(subject)

    def read(self, subject: str) -> SubjectKey | None:
        if not self.exists():
            return None
        return self._run(lambda db: _read(db, subject))

    def create(self, keys: Sequence[SubjectKey]) -> Sequence[SubjectKey]:
        def insert(db: sqlite3.Connection) -> list[SubjectKey]:
            db.execute("BEGIN IMMEDIATE")
            with db:
                db.executemany(
                    "INSERT INTO keys (subject, id, key) VALUES (?, ?, ?) ON CONFLICT (subject) DO NOTHING",
                    [(key.subject, key.id, key.key) for key in keys],
                )
                return [_read(db, key.subject) or key for key in keys]

        return self._run(insert)

    def destroy(self, subject: str) -> SubjectKey | None:
        def delete(db: sqlite3.Connection) -> SubjectKey | None:
            db.execute("BEGIN IMMEDIATE")
            with db:
                key = _read(db, subject)
                db.execute("DELETE FROM keys WHERE subject = ?", (subject,))
            if key is None:
                return None
            if self._holds(key.key):
                db.execute("VACUUM")
            if self._holds(key.key):
                raise StoreUnavailable(f"{self.describe()}: the key of {subject!r} could not be overwritten")
            return msgspec.structs.replace(key, key=b"")

        return self._run(delete) if self.exists() else None

    def describe(self) -> str:
        return f"keys in {self.path}"

    def _holds(self, key: bytes) -> bool:
        """Return whether the file contains the bytes of a key."""
        place, before = 0, b""
        while chunk := os.pread(self._file, _CHUNK_BYTES, place):
            if key in before + chunk:
                return True
            before = chunk[-len(key) :]
            place += len(chunk)
        return False

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                if self._db is None:
                    self._db = self._connected()
                    self._file = os.open(self.path, os.O_RDONLY)
                return work(self._db)
            except (sqlite3.Error, OSError) as error:
                raise StoreUnavailable(f"{self.describe()} cannot be used: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        mode = "ro" if self._is_read_only else "rw"
        db = sqlite3.connect(
            f"file:{quote(self.path)}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_TIMEOUT_S,
            check_same_thread=False,
        )
        try:
            db.execute("PRAGMA secure_delete = ON").fetchall()
            if not self._is_read_only:
                # A write-ahead log would hold a destroyed key until it is checkpointed.
                db.execute("PRAGMA journal_mode = DELETE").fetchall()
                db.execute("PRAGMA synchronous = EXTRA")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > _FORMAT:
                raise StoreUnavailable(f"{self.describe()} have format {version}, which a newer release wrote")
        except BaseException:
            db.close()
            raise
        return db


def _read(db: sqlite3.Connection, subject: str) -> SubjectKey | None:
    row = db.execute(_READ, (subject,)).fetchone()
    return None if row is None else SubjectKey(*row)
