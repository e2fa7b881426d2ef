"""A connection to a database on a simulated disk, with the interface of Python's own `sqlite3`.

Python's module does not support a VFS written in Python; `apsw` does. To run the code that ships, these connections
implement as much of `sqlite3.Connection` as the store uses, errors included.

Invariants: every statement has finished when `execute` returns; if the disk loses power during the statement or has
lost it before, `execute` raises PowerCut and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

import apsw

from actorium.simulation.disk.disk import PowerCut, SimulatedDisk
from actorium.simulation.disk.vfs import VFS_NAME, disks

# As many as the store's own connections keep (see connection.py there): one for each size of its multi-row statements.
_STATEMENTS_MAX = 160

_ERRORS: dict[int, type[sqlite3.Error]] = {
    apsw.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    apsw.SQLITE_MISMATCH: sqlite3.IntegrityError,
    apsw.SQLITE_TOOBIG: sqlite3.DataError,
    apsw.SQLITE_MISUSE: sqlite3.InterfaceError,
    apsw.SQLITE_RANGE: sqlite3.InterfaceError,
    apsw.SQLITE_CORRUPT: sqlite3.DatabaseError,
    apsw.SQLITE_NOTADB: sqlite3.DatabaseError,
    apsw.SQLITE_INTERNAL: sqlite3.InternalError,
}

ENGINE = f"sqlite {apsw.sqlite_lib_version()}"


class Rows:
    """The result of a statement, with the interface of `sqlite3.Cursor`."""

    __slots__ = ("_rows", "lastrowid")

    def __init__(self, rows: list[Any], lastrowid: int) -> None:
        self._rows = rows
        self.lastrowid = lastrowid

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


class DiskDatabase:
    """The only connection to a file, in exclusive locking mode: SQLite keeps the WAL's index in its own memory."""

    __slots__ = ("db", "disk")

    def __init__(self, disk: SimulatedDisk, name: str) -> None:
        self.disk = disk
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self.db = apsw.Connection(disks.path(disk, name), flags=flags, vfs=VFS_NAME, statementcachesize=_STATEMENTS_MAX)
        self.db.execute("PRAGMA locking_mode = EXCLUSIVE")

    def close(self) -> None:
        """Close it as a program does that ends normally; on a disk without power this has no effect."""
        was_off = self.disk.is_off
        try:
            self.db.close()
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error
        if self.disk.is_off and not was_off:
            raise PowerCut


class DiskConnection:
    """Acts as a `sqlite3.Connection` on a `DiskDatabase`; several may share one, each with its `text_factory`."""

    __slots__ = ("_db", "_disk", "text_factory")

    def __init__(self, database: DiskDatabase) -> None:
        self._db = database.db
        self._disk = database.disk
        self.text_factory: type = str

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def getlimit(self, category: int) -> int:
        return self._db.limit(category)

    def setlimit(self, category: int, limit: int) -> int:
        before = self._db.limit(category)
        self._db.limit(category, limit)
        return before

    def create_function(
        self, name: str, count: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        self._db.create_scalar_function(name, function, count, deterministic=deterministic)

    def rollback(self) -> None:
        if self._db.in_transaction:
            self.execute("ROLLBACK")

    def set_authorizer(self, authorizer: Callable[..., int] | None) -> None:
        self._db.authorizer = authorizer

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if self._disk.is_off:
            raise PowerCut
        try:
            rows = self._fetched(sql, parameters)
        except apsw.Error as error:
            self._raise(error)
        if self._disk.is_off:
            raise PowerCut
        return Rows(rows, self._db.last_insert_rowid())

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.execute(sql, row)

    def _fetched(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            rows = self._db.execute(sql, parameters).fetchall()
        except UnicodeDecodeError as error:
            return self._undecoded(sql, parameters, error)
        if self.text_factory is bytes:
            rows = [tuple([_bytes(value) for value in row]) for row in rows]
        return rows

    def _undecoded(self, sql: str, parameters: Sequence[Any], error: UnicodeDecodeError) -> list[Any]:
        """Run a query with damaged text again, returning text as bytes."""
        if self.text_factory is not bytes:
            raise sqlite3.OperationalError(f"Could not decode to UTF-8: {error}") from None
        names = [f"c{number}" for number in range(len(self._db.execute(sql, parameters).get_description()))]
        columns = ", ".join(
            f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END" for name in names
        )
        return self._db.execute(
            f"WITH found ({', '.join(names)}) AS ({sql}) SELECT {columns} FROM found", parameters
        ).fetchall()

    def _raise(self, error: apsw.Error) -> NoReturn:
        if self._disk.is_off:
            raise PowerCut from None
        result = getattr(error, "result", apsw.SQLITE_MISUSE)
        raised = _ERRORS.get(result, sqlite3.OperationalError)(str(error))
        raised.sqlite_errorcode = getattr(error, "extendedresult", result)
        raise raised from error


def _bytes(value: Any) -> Any:
    return value.encode() if type(value) is str else value
