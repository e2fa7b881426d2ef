"""Tables of projections whose rows are written by key, without SQL, and the changes of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

KEY_BYTES_MAX = 2_000
"""The largest key of a row: the bytes of its texts in UTF-8, and its bytes. Every database can index that much."""

ColumnKind = Literal["int", "float", "text", "bytes"]


class Column(msgspec.Struct, frozen=True, gc=False):
    """A column of a table.

    kind: what it holds: "int" has 64 bits with a sign.
    is_optional: whether it may also hold None.
    is_number: whether `RowChanges.add` adds to it. Any other column takes the new value.
    """

    name: str
    kind: ColumnKind
    is_optional: bool = False
    is_number: bool = False


class RowTable(msgspec.Struct, frozen=True):
    """A table: its name in the database, and its columns. Together the key columns are its primary key."""

    name: str
    keys: tuple[Column, ...]
    values: tuple[Column, ...]


class RowChanges(msgspec.Struct, frozen=True, gc=False):
    """Changes of the rows of one table; a key occurs in at most one of them.

    put: whole rows, the key columns first. Each replaces the row with its key.
    add: whole rows. If there is a row with the key, numbers are added to its numbers, and its other columns take the
        new values; a None changes nothing, and a stored None counts as absent. Otherwise the row is written as it is.
    delete: the keys of rows that are removed, if they exist.

    A sum that does not fit into 64 bits fails like a statement.
    """

    table: RowTable
    put: Sequence[tuple[Any, ...]] = ()
    add: Sequence[tuple[Any, ...]] = ()
    delete: Sequence[tuple[Any, ...]] = ()
