"""Finds damage in a file as a whole. A single read cannot detect it if the page that it relies on is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from actorium.store.errors import ActoriumError, CorruptStore, StoreUnavailable
from actorium.store.sqlite.integrity.seal import PAGE_BYTES
from actorium.store.sqlite.integrity.trees import owners
from actorium.store.sqlite.marks import command_record
from actorium.store.sqlite.packed import PRIMARY_CODE, InDoubt
from actorium.store.sqlite.schema import checked_tables
from actorium.store.sqlite.streams.index import read_mark

_MARKS = (
    "SELECT CAST(command_id AS BLOB), command_fingerprint, NULL, NULL, command_events, version, position FROM events "
    "WHERE command_id IS NOT NULL"
)


# SQLite reads a write-ahead log through an index beside it, which exists only while a process has the file open.
_HOW_TO_READ = (
    "; a process was killed while it had the file open, and SQLite can read the rest only if it may write to the "
    "folder: copy the file and its -wal file to a writable folder"
)

# Of the events that the index of streams should hold, those that it does not hold as they are.
_NOT_INDEXED = (
    "SELECT position FROM events WHERE position <= ? AND NOT EXISTS (SELECT 1 FROM stream_versions AS known "
    "WHERE known.stream = events.stream AND known.version = events.version AND known.position = events.position) "
    "ORDER BY position LIMIT 100"
)


def damage(db: sqlite3.Connection) -> list[str]:
    """Return the damage in the whole file, with indexes checked against tables; this is slow."""
    found = [text for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
    return found or damage_of_index(db)


def damage_of_index(db: sqlite3.Connection) -> list[str]:
    """Return the damage of the index of streams, through which a read could miss an event without noticing.

    An event that was removed is none: the index still has its place, and a read of its stream fails there.
    """
    try:
        mark = read_mark(db)
    except CorruptStore as error:
        return [str(error)]
    return [
        f"the index of streams does not match the event at position {position} in the log"
        for (position,) in db.execute(_NOT_INDEXED, (mark,))
    ]


def deep_damage(db: sqlite3.Connection) -> list[str]:
    """Return the damage in the whole file, with that which no read would notice."""
    return damage(db) + misplaced_events(db) + damaged_marks(db)


def misplaced_events(db: sqlite3.Connection) -> list[str]:
    """Return the number of events before position 1, which no read of the log returns."""
    count, least = db.execute("SELECT count(*), min(position) FROM events WHERE position < 1").fetchone()
    if not count:
        return []
    return [f"the log has events below position 1 ({count}, the lowest at {least}): a manual edit changed them"]


def damaged_marks(db: sqlite3.Connection) -> list[str]:
    """Return the damaged marks of commands, which the checksums of events do not cover."""
    found = []
    for command_id, *rest in db.execute(_MARKS):
        try:
            command_record(bytes(command_id).decode(errors="replace"), *rest)
        except InDoubt as error:
            found.append(str(error))
    return found


def is_damage(error: BaseException) -> bool:
    """Return whether an error of SQLite, or of decoding its data, shows that the file is damaged."""
    if isinstance(error, InDoubt | UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python's own error: a text in the file is not UTF-8
        return isinstance(error, sqlite3.OperationalError)
    return code & PRIMARY_CODE in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def failed_opening(error: BaseException, path: str, *, read_only: bool) -> ActoriumError | None:
    """Return the error for an opening that failed with another one; None if that one is to be raised itself."""
    # Python raises UnicodeDecodeError for SQLite's message about damaged definitions.
    if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
        why = f"cannot open {path}: {error}"
        if read_only and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CANTOPEN:
            why += _HOW_TO_READ
        return (CorruptStore if is_damage(error) else StoreUnavailable)(why)
    if isinstance(error, CorruptStore) and path not in str(error):
        return CorruptStore(f"cannot open {path}: {error}")
    return None


def refuse_damage(db: sqlite3.Connection, path: str, flipped: Sequence[int]) -> None:
    """Raise CorruptStore if a read of the file could return wrong data without an error.

    flipped: the pages whose bits flipped while the file was closed.

    The log's tables have a checksum per row, so their undamaged rows stay readable. The runtime's own tables and those
    of projections have none.
    """
    found = damage(db) or [
        f"bits have flipped in table {table}, which has no checksums" for table in flipped_tables(db, path, flipped)
    ]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CorruptStore(
            f"{path} is damaged: {found[0]}{more}; make a copy of it, then run `actorium repair {path}`, or restore a "
            "good backup"
        )


def flipped_tables(db: sqlite3.Connection, path: str, flipped: Sequence[int]) -> list[str]:
    """Return the tables without checksums that have flipped bits; all of them if a page belongs to no table."""
    if not flipped:
        return []
    rows = db.execute("SELECT rootpage, tbl_name FROM sqlite_master WHERE rootpage > 0").fetchall()
    roots = dict(rows)
    others = sorted(set(roots.values()) - checked_tables())
    if not others:
        return []
    owner = owners(path, {1: "sqlite_schema", **roots})
    (size,) = db.execute("PRAGMA page_size").fetchone()
    names = set()
    for block in flipped:
        first, behind = (block - 1) * PAGE_BYTES, block * PAGE_BYTES
        names |= {owner.get(page) for page in range(first // size + 1, (behind - 1) // size + 2)}
    return others if None in names else [name for name in others if name in names]
