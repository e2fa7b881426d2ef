"""Statements over many rows, in a few fixed sizes.

Python's sqlite3 releases the interpreter lock at every step of a statement. Beside a busy event loop it then waits up
to a switch interval (5 ms) to get it back: `executemany` waits per row, one statement for many rows waits once. A
separate statement for each row count would need its own preparation, so rows are padded up to the next size of a
ladder. The NULL in the first column of the padding filters it out. (Only there: Python's sqlite3 looks for an adapter
for each None, which takes longer than ten numbers.)
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# Each size is at most 1.5 times the one before, so at most a third of a statement is padding.
_LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


def rows_max(db: sqlite3.Connection, columns: int) -> int:
    """Return the number of rows with this many columns that fit into one statement on this connection."""
    variables_max = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return max(size for size in _LADDER if size == 1 or size * columns <= variables_max)


class RowStatement:
    """An SQL text with a placeholder `{rows}` for `(?, …), (?, …)`, run over any number of rows.

    The text must ignore rows whose first column is NULL, whatever their other columns hold.
    """

    __slots__ = ("_columns", "_padding", "_row", "_sizes", "_template", "_texts")

    def __init__(self, template: str, columns: int, *, db: sqlite3.Connection) -> None:
        largest = rows_max(db, columns)
        self._template = template
        self._columns = columns
        self._padding: tuple[Any, ...] = (None, *[0] * (columns - 1))
        self._sizes = [size for size in _LADDER if size <= largest]
        self._row = f"({', '.join('?' * columns)})"
        self._texts: dict[int, str] = {}  # by the number of values

    @property
    def rows_max(self) -> int:
        """The largest number of rows in one statement."""
        return self._sizes[-1]

    def execute(self, db: sqlite3.Connection, values: Sequence[Any]) -> None:
        """Run the statement over rows whose columns are listed one after the other in `values`."""
        text = self._texts.get(len(values))
        if text is not None:
            db.execute(text, values)
            return
        for text, arguments in self._parts(values):
            db.execute(text, arguments)

    def fetch(self, db: sqlite3.Connection, values: Sequence[Any]) -> Iterator[Any]:
        """Run the query over the rows in `values` and return the rows that all its parts found."""
        for text, arguments in self._parts(values):
            yield from db.execute(text, arguments).fetchall()

    def _parts(self, values: Sequence[Any]) -> Iterable[tuple[str, Sequence[Any]]]:
        columns, sizes = self._columns, self._sizes
        step = sizes[-1] * columns
        for start in range(0, len(values), step):
            part = values if len(values) <= step else values[start : start + step]
            count = len(part) // columns
            size = sizes[bisect_left(sizes, count)]
            if size > count:
                part = [*part, *self._padding * (size - count)]
            text = self._texts.get(size * columns)
            if text is None:
                text = self._template.format(rows=", ".join([self._row] * size))
                self._texts[size * columns] = text
            yield text, part
