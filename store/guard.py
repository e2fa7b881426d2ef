"""Check what the statements of projections and queries do to a database, with SQLite's authorizer.

While SQLite compiles a statement, the authorizer reports every table that the statement writes, in any wording and
through any trigger or view. Each report is a call into Python, so a text is checked once per connection. After a schema
change all texts are checked again, because their meaning may have changed. The rule for schema objects is the same here
and at opening (`is_foreign`), so an accepted object never prevents a log from opening.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from actorium.store.errors import StatementFailed

T = TypeVar("T")

_TEXTS_KEPT = 1_000

# The prefix of the tables of one projection version, and of their indexes and triggers.
_PROJECTION = re.compile(r"\w+?__v\d+__")
_PLAIN_VIEW = re.compile(r'CREATE VIEW "([^"]+)" AS SELECT \* FROM "\w+__v\d+__\1"')

_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_WRITES = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_CHANGES = {
    sqlite3.SQLITE_CREATE_TABLE: ("table", "creates"),
    sqlite3.SQLITE_CREATE_VTABLE: ("table", "creates"),
    sqlite3.SQLITE_CREATE_VIEW: ("view", "creates"),
    sqlite3.SQLITE_CREATE_INDEX: ("index", "creates"),
    sqlite3.SQLITE_CREATE_TRIGGER: ("trigger", "creates"),
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
# Without a value they only read. Full-text search itself uses the first.
_READING_PRAGMAS = frozenset(
    ("data_version", "integrity_check", "quick_check", "journal_mode", "synchronous", "page_count", "page_size")
)


def is_foreign(kind: str, name: str, table: str, sql: str) -> bool:
    """Whether a schema object, other than our own, was not made through the store.

    Any table is allowed. An index or a trigger belongs to the table whose name is its prefix, up to the version of a
    projection. A view belongs to a projection, or has the plain name of a projection's table.
    """
    if kind == "table" or name.startswith("sqlite_"):  # SQLite's internal objects
        return False
    if kind == "view":
        return _PROJECTION.match(name) is None and _PLAIN_VIEW.fullmatch(sql) is None
    owner = _PROJECTION.match(table)
    if kind == "trigger" and owner is None:
        return True
    return not name.lower().startswith((owner[0] if owner is not None else table).lower())


class StatementGuard:
    """Runs the statements of users on one connection, on the connection's thread.

    own: the names of our own tables, views and indexes; users may only read them.
    reads_only: the connection does not write, so users may not create or drop anything either.
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
        """Return the result of `work`, which runs `sql`; raise StatementFailed if the statement is not allowed."""
        if sql in self._known:
            return work()
        self._sql, self._refusal, self._changes_schema = sql, "", False
        db.set_authorizer(self._answer)  # recompiles every statement, including this one
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
            return "" if reads else f"runs PRAGMA {first}, which is not allowed"
        if action in _OTHERS:
            return f"runs {_OTHERS[action]}, which is not allowed"
        if action in _WRITES:
            # A read-only connection rejects other writes; full-text search prepares some that it does not run.
            return f"writes to {first}, a table of the log" if first.lower() in self._own else ""
        if self._reads_only:
            return "changes the schema, but a query can only read"
        if action in _CHANGES:
            self._changes_schema = True
            kind, does = _CHANGES[action]
            if first.lower() in self._own or (kind in ("index", "trigger") and second.lower() in self._own):
                return f"{does} {kind} {first}, which would change a table of the log"
            if does == "creates" and is_foreign(kind, first, second, self._sql):
                return (
                    f"creates {kind} {first}, which belongs to no projection: its name must begin like that of its "
                    "table"
                )
            return ""
        return "" if action == sqlite3.SQLITE_REINDEX else "does something that a projection's statements may not do"
