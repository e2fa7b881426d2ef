"""The settings of the writing connection, and the check that SQLite accepted them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from actorium.store.errors import ConfigurationError, StoreUnavailable

# The level as SQLite reports it, and what it guarantees.
_SYNCHRONOUS = {
    "OFF": (0, "acknowledged commits survive a killed process; a power cut may destroy the file"),
    "NORMAL": (1, "acknowledged commits survive a killed process; a power cut may lose the last ones"),
    "FULL": (2, "acknowledged commits survive a power cut"),
    "EXTRA": (3, "acknowledged commits survive a power cut"),
}


class SQLiteSettings(NamedTuple):
    """The options of a `SQLiteStore`, checked by `checked`."""

    synchronous: str
    cache_mb: int
    wal_autocheckpoint_pages: int
    busy_timeout_s: float
    verify_mb: int

    def checked(self) -> SQLiteSettings:
        """Return these settings, with `synchronous` in capitals; raise ConfigurationError for an invalid one."""
        synchronous = self.synchronous.upper()
        if synchronous not in _SYNCHRONOUS:
            raise ConfigurationError(f"synchronous={self.synchronous!r} is not one of {', '.join(_SYNCHRONOUS)}")
        for name, least in (("cache_mb", 1), ("wal_autocheckpoint_pages", 1), ("busy_timeout_s", 0), ("verify_mb", 0)):
            value = getattr(self, name)
            if not least <= value < 2**31 / 1024:
                raise ConfigurationError(f"{name}={value!r} is not between {least} and {2**21 - 1}")
        return self._replace(synchronous=synchronous)

    def verifies(self, size_bytes: int) -> bool:
        """Whether a file of this length is verified when it is opened, and sealed when it is closed."""
        return self.verify_mb > 0 and size_bytes <= self.verify_mb * 2**20

    @property
    def flushes(self) -> bool:
        """Whether each commit waits for the disk."""
        return _SYNCHRONOUS[self.synchronous][0] >= _SYNCHRONOUS["FULL"][0]

    @property
    def durability(self) -> str:
        """The durability of a commit, for a person."""
        return _SYNCHRONOUS[self.synchronous][1]

    def apply(self, db: sqlite3.Connection) -> None:
        """Configure the connection; raise StoreUnavailable if SQLite does not accept a setting."""
        # The cache first: a migration uses it. WAL is a property of the file and stays.
        wanted = (
            ("cache_size", -1024 * self.cache_mb, -1024 * self.cache_mb),
            ("journal_mode", "WAL", "wal"),
            ("synchronous", self.synchronous, _SYNCHRONOUS[self.synchronous][0]),
            ("wal_autocheckpoint", self.wal_autocheckpoint_pages, self.wal_autocheckpoint_pages),
        )
        for name, value, expected in wanted:
            db.execute(f"PRAGMA {name} = {value}").fetchall()
            found = db.execute(f"PRAGMA {name}").fetchone()[0]
            if found != expected:
                raise StoreUnavailable(
                    f"SQLite keeps PRAGMA {name} at {found!r} instead of {expected!r}: "
                    f"is the file on a network disk, or opened elsewhere in a different mode?"
                )

    def hurry(self, db: sqlite3.Connection) -> None:
        """Let commits neither wait for the lock of another program nor run a checkpoint, until `take_time`."""
        _wait_and_checkpoint(db, 0, 0)

    def take_time(self, db: sqlite3.Connection) -> None:
        """End `hurry`."""
        _wait_and_checkpoint(db, round(self.busy_timeout_s * 1_000), self.wal_autocheckpoint_pages)


def _wait_and_checkpoint(db: sqlite3.Connection, wait_ms: int, pages: int) -> None:
    db.execute(f"PRAGMA busy_timeout = {wait_ms}").fetchall()
    db.execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchall()
