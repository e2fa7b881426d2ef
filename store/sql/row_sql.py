"""The tables of rows in SQLite: the statements that change their rows.

Adapters with an SQLite database use it, as they use `checkpoints.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

from actorium.store.tables.dialect import quoted
from actorium.store.tables.row_tables import Column, RowChanges, RowTable

_TABLES_KEPT = 1_000


def write_rows(db: sqlite3.Connection, changes: RowChanges) -> None:
    """Change the rows of a table."""
    put, add, delete = _statements(changes.table)
    if changes.delete:
        db.executemany(delete, changes.delete)
    if changes.put:
        db.executemany(put, changes.put)
    if changes.add:
        db.executemany(add, changes.add)


@lru_cache(_TABLES_KEPT)
def _statements(table: RowTable) -> tuple[str, str, str]:
    name, keys = quoted(table.name), [quoted(column.name) for column in table.keys]
    places = ", ".join("?" for _ in (*table.keys, *table.values))
    insert = f"INSERT INTO {name} VALUES ({places}) ON CONFLICT ({', '.join(keys)}) DO "
    put = _update(f"{column} = excluded.{column}" for column in map(quoted, (one.name for one in table.values)))
    add = _update(map(_added, table.values))
    conditions = " AND ".join(f"{key} = ?" for key in keys)
    return insert + put, insert + add, f"DELETE FROM {name} WHERE {conditions}"


def _update(columns: Iterable[str]) -> str:
    joined = ", ".join(columns)
    return f"UPDATE SET {joined}" if joined else "NOTHING"


def _added(column: Column) -> str:
    name = quoted(column.name)
    new = f"{name} + excluded.{name}" if column.is_number else f"excluded.{name}"
    if column.is_optional:
        new = f"coalesce({new}, excluded.{name}, {name})"
    return f"{name} = {new}"
