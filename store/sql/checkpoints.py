"""Tables beside the log: checkpoints with their statements, dead letters, and queries.

Adapters with an SQLite database (a file, or in memory) use it. Invariant: a checkpoint and its changes are written
together or not at all, whatever one of its statements does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from actorium.store.errors import CorruptRow, StatementFailed
from actorium.store.event_store import DeadLetter, SaveCheckpoint, Statement
from actorium.store.guard import StatementGuard
from actorium.store.sql.own_sql import write_changes
from actorium.store.sql.row_checksums import dead_letter_values, row_checksum, verified_letters
from actorium.store.sql.row_sql import write_rows
from actorium.store.tables.own_rows import TableChange
from actorium.store.tables.row_tables import RowChanges

CHECKPOINTS_SCHEMA = """
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID"""

DEAD_LETTERS_SCHEMA = """
CREATE TABLE dead_letters (
    processor TEXT NOT NULL,
    position INTEGER NOT NULL,
    stream_type TEXT NOT NULL,
    stream_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_us INTEGER NOT NULL,
    discarded TEXT NOT NULL,
    PRIMARY KEY (processor, position)
) WITHOUT ROWID"""

# A row without a checksum predates checksums.
CHECKSUMS_SCHEMA = """
ALTER TABLE checkpoints ADD COLUMN checksum INTEGER;
ALTER TABLE dead_letters ADD COLUMN checksum INTEGER"""

_SAVE_CHECKPOINT = (
    "INSERT INTO checkpoints VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET position = excluded.position, checksum = excluded.checksum"
)
_LOAD_CHECKPOINT = "SELECT name, position, checksum FROM checkpoints WHERE name = ?"
_LIST_CHECKPOINTS = "SELECT name, position, checksum FROM checkpoints"
_PARK = "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SETTLE = "DELETE FROM dead_letters WHERE processor = ? AND position = ?"
_LIST = (
    "SELECT processor, stream_type, stream_id, version, position, event_type, error, traceback, attempts, parked_us, "
    "discarded, checksum FROM dead_letters ORDER BY position"
)

# Failures of the database rather than of a statement: the whole commit fails.
_NOT_THE_STATEMENT = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_INTERRUPT,
    }
)
_PRIMARY_CODE = 0xFF  # SQLite's extended result codes keep the primary one in the lowest byte


def save_checkpoint(
    db: sqlite3.Connection, checkpoint: SaveCheckpoint, guard: StatementGuard
) -> StatementFailed | None:
    """Write a checkpoint with its changes if the guard allows them; return the reason if it was not written.

    Without an open transaction it runs in its own; if it raises, that transaction may still be open.
    """
    has_results = checkpoint.statements or checkpoint.rows or checkpoint.changes
    if not (has_results or checkpoint.settled or checkpoint.parked):
        _save_position(db, checkpoint)  # nothing can fail separately: no savepoint needed
        return None
    db.execute("SAVEPOINT checkpoint")
    try:
        _write_changes(db, checkpoint.changes)
        run_statements(db, checkpoint.statements, guard)
        change_rows(db, checkpoint.rows)
        if checkpoint.settled:
            db.executemany(_SETTLE, [(checkpoint.name, position) for position in checkpoint.settled])
        if checkpoint.parked:
            db.executemany(_PARK, [_parked_row(letter) for letter in checkpoint.parked])
        _save_position(db, checkpoint)
    except StatementFailed as failure:
        db.execute("ROLLBACK TO checkpoint")
        db.execute("RELEASE checkpoint")
        return failure
    db.execute("RELEASE checkpoint")
    return None


def _write_changes(db: sqlite3.Connection, changes: Sequence[TableChange]) -> None:
    try:
        write_changes(db, changes)
    except Exception as error:  # a text that is not UTF-8, say
        raise_if_database_failed(error, db)
        raise StatementFailed(f"a change to the runtime's own tables failed: {error}") from error


def _save_position(db: sqlite3.Connection, checkpoint: SaveCheckpoint) -> None:
    name, position = checkpoint.name, checkpoint.position
    db.execute(_SAVE_CHECKPOINT, (name, position, row_checksum((name, position))))


def run_statements(db: sqlite3.Connection, statements: Sequence[Statement], guard: StatementGuard) -> None:
    """Run statements in order, with consecutive ones of the same text as one call; raise StatementFailed."""
    sql = ""
    try:
        for sql, run in groupby(statements, key=itemgetter(0)):
            rows = [parameters for _, parameters in run]
            guard.run(db, sql, partial(_execute, db, sql, rows))
    except StatementFailed:
        raise
    except Exception as error:  # an adapter of a parameter's type raised: the statement's fault too
        raise_if_database_failed(error, db)
        failure = StatementFailed(f"{sql!r} failed: {error}")
        failure.__cause__ = error
        raise failure from error


def change_rows(db: sqlite3.Connection, rows: Sequence[RowChanges]) -> None:
    """Change rows of projections; raise StatementFailed."""
    for changes in rows:
        try:
            write_rows(db, changes)
        except Exception as error:
            raise_if_database_failed(error, db)
            raise StatementFailed(f"rows of {changes.table.name} cannot be written: {error}") from error


def _execute(db: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    if len(rows) == 1:
        db.execute(sql, rows[0])
    else:
        db.executemany(sql, rows)


def raise_if_database_failed(error: Exception, db: sqlite3.Connection) -> None:
    """Re-raise an error that the statement did not cause: from the disk, the lock or the file."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY_CODE in _NOT_THE_STATEMENT:
        raise error


def load_checkpoint(db: sqlite3.Connection, name: str) -> int:
    """Return the saved position of a processor, 0 if there is none; raise CorruptRow.

    If there is none, all rows are checked: the damaged value may be the name.
    """
    row = db.execute(_LOAD_CHECKPOINT, (name,)).fetchone()
    if row is not None:
        return _checked_position(*row)
    for other in db.execute(_LIST_CHECKPOINTS).fetchall():
        _checked_position(*other)
    return 0


def _checked_position(name: Any, position: Any, checksum: Any) -> int:
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    if type(position) is not int or checksum not in (None, row_checksum((text, position))):
        raise CorruptRow(
            f"the checkpoint of {text!r} does not match its checksum: a disk error or a manual edit changed it"
        )
    return position


def dead_letters(db: sqlite3.Connection, processor: str | None) -> list[DeadLetter]:
    """Return the dead letters of one processor or of all, in log order; raise CorruptRow."""
    return verified_letters(db.execute(_LIST), processor)


def query(db: sqlite3.Connection, sql: str, parameters: Sequence[Any], guard: StatementGuard) -> list[tuple[Any, ...]]:
    """Return the rows of a query; raise StatementFailed if it fails or the guard rejects it."""
    try:
        rows: list[tuple[Any, ...]] = guard.run(db, sql, lambda: db.execute(sql, parameters).fetchall())
        return rows
    except (sqlite3.Error, sqlite3.Warning, TypeError, ValueError, OverflowError) as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE != sqlite3.SQLITE_READONLY:  # a query that writes
            raise_if_database_failed(error, db)
        raise StatementFailed(f"{sql!r} failed: {error}") from error


def _parked_row(letter: DeadLetter) -> tuple[Any, ...]:
    values = dead_letter_values(letter)
    return *values, row_checksum(values)
