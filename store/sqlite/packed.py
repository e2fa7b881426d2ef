"""Query results packed into one row.

A query releases the interpreter lock at every row, and beside a busy event loop each row then waits up to a switch
interval (5 ms) to get it back. So for many rows SQLite packs them: each column of the single row is a text with all the
values, numbers separated by commas, JSON by line breaks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from actorium.store.event_store import Head
from actorium.store.names import StreamName
from actorium.store.sqlite.rows import RowStatement

_FIND_HEADS = (
    "SELECT group_concat(column1), group_concat(streams.id), "
    "group_concat((SELECT coalesce(max(version), 0) FROM stream_versions WHERE stream = streams.id)) "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) AS wanted "
    # With `(type, name) IN (VALUES …)` instead of the join, SQLite would scan all streams.
    "CROSS JOIN streams ON streams.type = wanted.column2 AND streams.name = wanted.column3"
)

_decode_integers = msgspec.json.Decoder(list[int]).decode


PRIMARY_CODE = 0xFF  # the part of SQLite's extended error codes that says what kind of error it is


class InDoubt(sqlite3.DatabaseError):
    """A value that was read is wrong, or does not fit the packed format."""


def integers(column: bytes | str | None) -> list[int]:
    """Return the numbers of a packed column; raise InDoubt if one is not a number."""
    if column is None:
        raise InDoubt("a number is missing")
    try:
        return _decode_integers(b"[%b]" % (column.encode() if isinstance(column, str) else column))
    except msgspec.DecodeError:
        raise InDoubt("a value that should be a number is not") from None


def name_of(value: Any) -> str:
    """Return the text of a name; raise InDoubt if it is not a text."""
    if not isinstance(value, bytes):
        raise InDoubt("a value that should be a name is not")
    return value.decode(errors="replace")


def texts(column: bytes | None) -> list[bytes]:
    """Return the texts of a packed column; a text with a line break becomes several, which `rows` detects."""
    if column is None:
        raise InDoubt("a text value is missing")
    return column.split(b"\n")


def rows(*columns: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Return unpacked columns as rows; raise InDoubt if they differ in length."""
    length = len(columns[0])
    if any(len(column) != length for column in columns):
        raise InDoubt("the columns differ in length")
    return zip(*columns, strict=True)


def last_position(db: sqlite3.Connection) -> int:
    """Return the position of the last event, 0 in an empty log."""
    return int(db.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])


def last_event(db: sqlite3.Connection) -> Head:
    """Return the end of the log; raise InDoubt if the time of its last event is not a number."""
    row = db.execute("SELECT position, recorded_us FROM events ORDER BY position DESC LIMIT 1").fetchone()
    if row is None:
        return Head(0, 0)
    if not isinstance(row[1], int):
        raise InDoubt("the time of the last event is not a number")
    return Head(*row)


class HeadQuery:
    """The query for the ids and newest versions of streams in the index; recent events are not in it."""

    __slots__ = ("_statement",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._statement = RowStatement(_FIND_HEADS, 3, db=db)

    def find(self, db: sqlite3.Connection, streams: Sequence[StreamName]) -> Iterator[tuple[int, int, int]]:
        """Return the number in `streams`, the id and the newest indexed version of each stream that exists."""
        values: list[Any] = []
        for index, stream in enumerate(streams):
            values += (index, stream.type, stream.id)
        for indexes, ids, heads in self._statement.fetch(db, values):
            if indexes is not None:
                yield from rows(integers(indexes), integers(ids), integers(heads))
