"""Fold the changes of rows that handlers recorded, so that each row is written once however often it changed.

Invariant: writing the folded changes has the same effect as writing them one by one, in the order of their recording,
except that a sum may exceed 64 bits on the way if it fits at the end. Changes of rows and statements do not see each
other, so their order among each other has no meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import add
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import astuple

from actorium.runtime.processors.delivery import Results
from actorium.runtime.projections.tables import Table, TableDefinition, definition_of
from actorium.store.errors import StatementFailed
from actorium.store.event_store import Statement
from actorium.store.tables.row_tables import RowChanges

PUT: Final = 0
ADD: Final = 1
DELETE: Final = 2

RowChange = tuple[Literal[0, 1], Table] | tuple[Literal[2], tuple[type[Table], tuple[Any, ...]]]
"""A change of a row as a handler recorded it: PUT or ADD with the row, or DELETE with the table and the key."""

Recorded = Statement | RowChange
"""What a handler recorded."""


def folded(recorded: Iterable[Recorded], names: Mapping[type[Table], str]) -> Results:
    """Separate statements from changes of rows, and fold those; raise StatementFailed for a row that cannot be stored.

    names: the name in the database of each table of the projection.
    """
    fold = RowFold()
    statements = fold.take(recorded)
    return Results(statements, fold.changes(names))


class RowFold:
    """The changes of rows so far, one for each row."""

    def __init__(self) -> None:
        self._tables: dict[type[Table], _TableFold] = {}

    def take(self, recorded: Iterable[Recorded]) -> list[Statement]:
        """Fold further changes of rows, and return the statements among what was recorded."""
        statements: list[Statement] = []
        tables = self._tables
        for one in recorded:
            kind, what = one
            if type(kind) is str:
                statements.append(one)  # type: ignore[arg-type]
                continue
            table: Any = what[0] if kind == DELETE else type(what)  # type: ignore[index]
            fold = tables.get(table)
            if fold is None:
                fold = tables[table] = _TableFold(definition_of(table))
            try:
                if kind == DELETE:
                    fold.rows[what[1]] = (DELETE, ())  # type: ignore[index]
                    continue
                row = astuple(what)  # type: ignore[arg-type]
                key, values = row[: fold.keys], row[fold.keys :]
                known = fold.rows.get(key)
                if kind == PUT or known is None:
                    fold.rows[key] = (kind, values)
                elif known[0] == DELETE:
                    fold.rows[key] = (PUT, values)
                elif fold.only_adds:
                    fold.rows[key] = (known[0], tuple(map(add, known[1], values)))
                else:
                    fold.rows[key] = (known[0], fold.sum(known[1], values))
            except TypeError as error:  # a key that has no hash, or a value that is not a number
                raise StatementFailed(f"{what!r} cannot be written: {error}") from error
        return statements

    def changes(self, names: Mapping[type[Table], str]) -> list[RowChanges]:
        """Return the folded changes as they are stored, given the name in the database of each table."""
        return [fold.changes(names[table]) for table, fold in self._tables.items()]

    def rows(self) -> Iterator[tuple[type[Table], tuple[Any, ...], tuple[Any, ...] | None]]:
        """Yield each changed row of tables that began empty: the table, the stored key, and the whole stored row.

        A row that does not exist in the end is None.
        """
        for table, fold in self._tables.items():
            encoded = definition_of(table).encoded
            for key, (kind, values) in fold.rows.items():
                yield table, encoded(key), None if kind == DELETE else encoded(key + values)


class _TableFold:
    """The changes of one table: by key, what is done with the row, and its other values.

    only_adds: every other column is a number that cannot be None.
    """

    __slots__ = ("_definition", "keys", "only_adds", "rows")

    def __init__(self, definition: TableDefinition) -> None:
        self._definition = definition
        self.keys = len(definition.shape.keys)
        self.rows: dict[tuple[Any, ...], tuple[Any, tuple[Any, ...]]] = {}
        self.only_adds = all(column.is_number and not column.is_optional for column in definition.shape.values)

    def sum(self, known: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the values of a row to which others were added."""
        values = list(known)
        for place, column in enumerate(self._definition.shape.values):
            value, old = new[place], values[place]
            if value is not None or not column.is_optional:
                values[place] = old + value if column.is_number and old is not None else value
        return tuple(values)

    def changes(self, name: str) -> RowChanges:
        """Return the folded changes as they are stored."""
        groups: tuple[list[tuple[Any, ...]], ...] = ([], [], [])
        encoded = self._definition.encoded
        for key, (kind, values) in self.rows.items():
            groups[kind].append(encoded(key + values))
        table = msgspec.structs.replace(self._definition.shape, name=name)
        return RowChanges(table, *groups)
