"""Query results that come back as one row.

A query gives up the interpreter lock at every row it finds, and beside a busy event loop each row would wait up to a
switch interval (5 ms) to get it back. So where many rows are wanted, SQLite puts them together: each column of the one
row is a text with the values of all, numbers with commas between them, JSON with line breaks.
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
    "group_concat((SELECT coalesce(max(version), 0) FROM events WHERE events.stream = streams.id)) "
    "FROM (SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL) AS wanted "
    # With `(type, name) IN (VALUES …)` in place of the join, SQLite would walk through all streams.
    "CROSS JOIN streams ON streams.type = wanted.column2 AND streams.name = wanted.column3"
)

_decode_integers = msgspec.json.Decoder(list[int]).decode


PRIMARY_CODE = 0xFF  # the part of SQLite's extended error codes that says what kind of error it is


class InDoubt(sqlite3.DatabaseError):
    """Something that was read does not hold, or does not fit this way of reading."""


def integers(column: bytes | str | None) -> list[int]:
    """Return the numbers of a packed column; InDoubt if one of them is none."""
    if column is None:
        raise InDoubt("a number is missing")
    try:
        return _decode_integers(b"[%b]" % (column.encode() if isinstance(column, str) else column))
    except msgspec.DecodeError:
        raise InDoubt("there is something else where a number was written") from None


def name_of(value: Any) -> str:
    """Return the text of a name; InDoubt if it is none."""
    if not isinstance(value, bytes):
        raise InDoubt("there is something else where a name was written")
    return value.decode(errors="replace")


def texts(column: bytes | None) -> list[bytes]:
    """Return the texts of a packed column; one with a line break in it becomes several, which `rows` finds out."""
    if column is None:
        raise InDoubt("a text is missing")
    return column.split(b"\n")


def rows(*columns: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Return unpacked columns as rows; InDoubt if they differ in length."""
    length = len(columns[0])
    if any(len(column) != length for column in columns):
        raise InDoubt("the columns differ in length")
    return zip(*columns, strict=True)


def last_position(db: sqlite3.Connection) -> int:
    """Return the position of the last event, 0 in an empty log."""
    return int(db.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])


def last_event(db: sqlite3.Connection) -> Head:
    """Return the end of the log; InDoubt if the time of its last event is none."""
    row = db.execute("SELECT position, recorded_us FROM events ORDER BY position DESC LIMIT 1").fetchone()
    if row is None:
        return Head(0, 0)
    if not isinstance(row[1], int):
        raise InDoubt("there is something else where the time of the last event was written")
    return Head(*row)


class HeadQuery:
    """The query for the ids and newest versions of streams."""

    __slots__ = ("_statement",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._statement = RowStatement(_FIND_HEADS, 3, db=db)

    def find(self, db: sqlite3.Connection, streams: Sequence[StreamName]) -> Iterator[tuple[int, int, int]]:
        """Return index in `streams`, id and newest version of each stream that there is."""
        values: list[Any] = []
        for index, stream in enumerate(streams):
            values += (index, stream.type, stream.id)
        for indexes, ids, heads in self._statement.fetch(db, values):
            if indexes is not None:
                yield from rows(integers(indexes), integers(ids), integers(heads))
