"""What the statements of projections and of queries may do to a database, asked of SQLite itself.

SQLite's authorizer tells, while it compiles a statement, every table it writes, by whatever wording, trigger or view.
Asking costs a call into Python for each, so a text is asked about once per connection; one that changes the schema has
all asked about again, for what a text means may have changed. Which schema objects may be made is decided by the same
rule here and at the opening (`is_foreign`), so that nothing that was accepted keeps a log from opening.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from actorium.store.errors import StatementFailed

T = TypeVar("T")

_TEXTS_KEPT = 1_000

# The tables of a version of a projection begin so, and so does what belongs to them.
_PROJECTION = re.compile(r"\w+?__v\d+__")
_PLAIN_VIEW = re.compile(r'CREATE VIEW "([^"]+)" AS SELECT \* FROM "\w+__v\d+__\1"')

_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_WRITES = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_CHANGES = {
    sqlite3.SQLITE_CREATE_TABLE: ("table", "makes"),
    sqlite3.SQLITE_CREATE_VTABLE: ("table", "makes"),
    sqlite3.SQLITE_CREATE_VIEW: ("view", "makes"),
    sqlite3.SQLITE_CREATE_INDEX: ("index", "makes"),
    sqlite3.SQLITE_CREATE_TRIGGER: ("trigger", "makes"),
    sqlite3.SQLITE_DROP_TABLE: ("table", "drops"),
    sqlite3.SQLITE_DROP_VTABLE: ("table", "drops"),
    sqlite3.SQLITE_DROP_VIEW: ("view", "drops"),
    sqlite3.SQLITE_DROP_INDEX: ("index", "drops"),
    sqlite3.SQLITE_DROP_TRIGGER: ("trigger", "drops"),
}
_OTHERS = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_TRANSACTION: "BEGIN, COMMIT or ROLLBACK",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    sqlite3.SQLITE_ALTER_TABLE: "ALTER TABLE",
    sqlite3.SQLITE_ANALYZE: "ANALYZE",
    sqlite3.SQLITE_CREATE_TEMP_TABLE: "CREATE TEMP TABLE",
    sqlite3.SQLITE_CREATE_TEMP_VIEW: "CREATE TEMP VIEW",
    sqlite3.SQLITE_CREATE_TEMP_INDEX: "CREATE TEMP INDEX",
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER: "CREATE TEMP TRIGGER",
}
# They read what is, if they are given no value. Full-text search itself asks for the first.
_READING_PRAGMAS = frozenset(
    ("data_version", "integrity_check", "quick_check", "journal_mode", "synchronous", "page_count", "page_size")
)


def is_foreign(kind: str, name: str, table: str, sql: str) -> bool:
    """Whether something in a schema, beside our own, was made by nobody who goes through the store.

    A table is anybody's. An index or a trigger belongs to the table whose name it begins with, up to the version of a
    projection; a view to a projection, or it is the plain name of a projection's table.
    """
    if kind == "table" or name.startswith("sqlite_"):  # what SQLite makes by itself
        return False
    if kind == "view":
        return _PROJECTION.match(name) is None and _PLAIN_VIEW.fullmatch(sql) is None
    owner = _PROJECTION.match(table)
    if kind == "trigger" and owner is None:
        return True
    return not name.lower().startswith((owner[0] if owner is not None else table).lower())


class StatementGuard:
    """Runs the statements of users on one connection, on the connection's thread.

    own: the names of our own tables, views and indexes, which may be read and nothing else. reads_only: the connection
    does not write, so nothing may be made or dropped either.
    """

    __slots__ = ("_changes_schema", "_known", "_own", "_reads_only", "_refusal", "_sql")

    def __init__(self, own: frozenset[str], *, reads_only: bool) -> None:
        self._own = own
        self._reads_only = reads_only
        self._known: set[str] = set()
        self._sql = ""
        self._refusal = ""
        self._changes_schema = False

    def run(self, db: sqlite3.Connection, sql: str, work: Callable[[], T]) -> T:
        """Return what `work`, which runs `sql` on the connection, returns; StatementFailed where it may not run."""
        if sql in self._known:
            return work()
        self._sql, self._refusal, self._changes_schema = sql, "", False
        db.set_authorizer(self._answer)  # compiles again what was compiled before, also of this text
        try:
            result = work()
        except sqlite3.Error as error:
            if self._refusal:
                raise StatementFailed(f"{sql!r} {self._refusal}") from error
            raise
        finally:
            db.set_authorizer(None)
            if self._changes_schema or len(self._known) >= _TEXTS_KEPT:
                self._known.clear()
        if not self._changes_schema:
            self._known.add(sql)
        return result

    def _answer(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        if action in _READS and not (action == sqlite3.SQLITE_FUNCTION and second == "load_extension"):
            return sqlite3.SQLITE_OK
        refusal = self._refusal_of(action, first or "", second or "")
        if not refusal:
            return sqlite3.SQLITE_OK
        self._refusal = self._refusal or refusal
        return sqlite3.SQLITE_DENY

    def _refusal_of(self, action: int, first: str, second: str) -> str:
        if action == sqlite3.SQLITE_PRAGMA:
            reads = first.lower() in _READING_PRAGMAS and not second
            return "" if reads else f"runs PRAGMA {first}, and may not"
        if action in _OTHERS:
            return f"runs {_OTHERS[action]}, and may not"
        if action in _WRITES:
            # Elsewhere a connection that only reads refuses it; full-text search prepares what it does not run then.
            return f"writes to {first}, a table of the log" if first.lower() in self._own else ""
        if self._reads_only:
            return "changes the schema, and a query only reads"
        if action in _CHANGES:
            self._changes_schema = True
            kind, does = _CHANGES[action]
            if first.lower() in self._own or (kind in ("index", "trigger") and second.lower() in self._own):
                return f"{does} {kind} {first}, which would change a table of the log"
            if does == "makes" and is_foreign(kind, first, second, self._sql):
                return (
                    f"makes {kind} {first}, which belongs to no projection: its name has to begin as that of its table "
                    "does"
                )
            return ""
        return "" if action == sqlite3.SQLITE_REINDEX else "does what no statement of a projection may do"
