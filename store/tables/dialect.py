"""`Dialect`: the syntax differences of databases that the SQL of projections depends on, and SQLite's dialect.

A projection's author writes SQL for the store's database, with `?` for each parameter. The runtime uses the dialect to
add the parts that let two versions of a projection exist side by side.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from actorium.store.tables.row_tables import Column, ColumnKind, RowTable


def quoted(name: str) -> str:
    """Return a name in quotes, as standard SQL writes it, whatever characters it contains."""
    return '"' + name.replace('"', '""') + '"'


class TableObject(NamedTuple):
    """A table or view of the database. `definition` lists what a view shows, in the form of `Dialect.quoted`.

    The definition of a table may be empty.
    """

    kind: Literal["TABLE", "VIEW"]
    name: str
    definition: str


class Dialect(Protocol):
    """The SQL syntax of a database. Statements are texts; the parameters of a query are passed separately."""

    @property
    def name(self) -> str:
        """The name of the dialect, as a projection's `schema` has it: "sqlite"."""
        ...

    @property
    def events_per_commit(self) -> int | None:
        """How many events' statements to write in one commit at most; None if more is always better."""
        ...

    def translated(self, sql: str) -> str:
        """Convert a statement with `?` parameters to the form that the database accepts."""
        ...

    def is_complete(self, sql: str) -> bool:
        """Return whether a text that ends with a semicolon is complete: it may end inside a string or a trigger."""
        ...

    def quoted(self, name: str) -> str:
        """Return a name quoted for a statement, whatever characters it contains."""
        ...

    def list_objects(self, prefix: str) -> tuple[str, Sequence[Any]]:
        """Return a query, with its parameters, for the fields of each `TableObject` whose name has this prefix.

        Views come before tables, each sorted by name, so that they can be dropped in this order.
        """
        ...

    def drop(self, thing: TableObject) -> str:
        """Return the statement that drops a table or view if it exists."""
        ...

    def create_view(self, name: str, table: str) -> str:
        """Return the statement that creates a view of a whole table."""
        ...

    def create_table(self, table: RowTable) -> str:
        """Return the statement that creates a table of rows."""
        ...


_COLUMN_TYPES: dict[ColumnKind, str] = {"int": "INTEGER", "float": "REAL", "text": "TEXT", "bytes": "BLOB"}


class SQLiteDialect:
    """SQLite's SQL."""

    name = "sqlite"
    events_per_commit: int | None = None

    def translated(self, sql: str) -> str:
        return sql

    def is_complete(self, sql: str) -> bool:
        return sqlite3.complete_statement(sql)

    def quoted(self, name: str) -> str:
        return quoted(name)

    def list_objects(self, prefix: str) -> tuple[str, Sequence[Any]]:
        return (
            "SELECT upper(type), name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND substr(name, 1, ?) = ? ORDER BY type DESC, name",
            (len(prefix), prefix),
        )

    def drop(self, thing: TableObject) -> str:
        return f"DROP {thing.kind} IF EXISTS {self.quoted(thing.name)}"

    def create_view(self, name: str, table: str) -> str:
        return f"CREATE VIEW {self.quoted(name)} AS SELECT * FROM {self.quoted(table)}"

    def create_table(self, table: RowTable) -> str:
        columns = [self._column(column) for column in (*table.keys, *table.values)]
        keys = ", ".join(self.quoted(column.name) for column in table.keys)
        return f"CREATE TABLE {self.quoted(table.name)} ({', '.join(columns)}, PRIMARY KEY ({keys})) WITHOUT ROWID"

    def _column(self, column: Column) -> str:
        name = self.quoted(column.name)
        text = f"{name} {_COLUMN_TYPES[column.kind]}" + ("" if column.is_optional else " NOT NULL")
        if column.is_number:  # SQLite would turn a sum that does not fit into 64 bits into a REAL
            kinds = "IN ('integer', 'null')" if column.is_optional else "= 'integer'"
            text += f" CHECK (typeof({name}) {kinds})"
        return text
