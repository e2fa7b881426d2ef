"""Rebuild the indexes of a damaged file from the rows of its tables."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from actorium.store.errors import CorruptStore, StoreUnavailable
from actorium.store.sqlite.integrity.damage import damage, flipped_tables
from actorium.store.sqlite.integrity.seal import flipped_pages, remove_seal
from actorium.store.sqlite.lock import FileLock
from actorium.store.sqlite.schema import migrate, refuse_foreign
from actorium.store.sqlite.streams.index import rebuild_index

_LAST = "SELECT coalesce(max(position), 0) FROM events NOT INDEXED"
# Scan whole indexes: a look-up by key in a damaged index may miss entries.
_IN_INDEXES = (
    "SELECT 1 FROM stream_versions WHERE +position = ? UNION ALL "
    "SELECT 1 FROM events INDEXED BY commands WHERE command_id IS NOT NULL AND +position = ?"
)


def repair_file(path: str) -> list[str]:
    """Rebuild all indexes of a file that no process has open; return the remaining damage.

    The rows do not change; readers check their checksums. Raises CorruptStore, and changes nothing, if the file is not
    ours, or lost its last events, which its indexes still list: only a copy restores those.
    """
    path = os.path.realpath(path)
    if not os.path.isfile(path):
        raise StoreUnavailable(f"there is no file {path}")
    lock = FileLock(path)
    lock.acquire()
    try:
        flipped = flipped_pages(path) or ()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            refuse_foreign(db, path)
            migrate(db, path)
            found = [f"bits have flipped in table {table}: rebuild it" for table in flipped_tables(db, path, flipped)]
            _refuse_lost_events(db, path)
            db.execute("REINDEX")
            rebuild_index(db)
            found += damage(db)
        remove_seal(path)
    except sqlite3.Error as error:
        raise CorruptStore(f"{path} cannot be repaired: {error}; restore a backup") from error
    finally:
        lock.release()
    return found


def _refuse_lost_events(db: sqlite3.Connection, path: str) -> None:
    (last,) = db.execute(_LAST).fetchone()
    if db.execute(_IN_INDEXES, (last + 1, last + 1)).fetchone() is not None:
        raise CorruptStore(
            f"{path} cannot be repaired: its table of events ends at position {last}, but an index lists later "
            "events; restore a backup"
        )
