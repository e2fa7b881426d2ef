"""The log in one SQLite file."""

from actorium.store.sqlite.adapter import SQLiteStore

__all__ = ["SQLiteStore"]
