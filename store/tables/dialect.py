"""`Dialect`: what the SQL of projections needs to know of the database that runs it, and SQLite's.

A projection's author writes SQL for the database that the store uses, with `?` for each parameter. What the runtime
adds to it, so that two versions of a projection can live side by side, comes from here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol


class TableObject(NamedTuple):
    """A table or view of the database. `definition` names what a view shows, as `Dialect.quoted` writes it.

    The definition of a table may be empty.
    """

    kind: Literal["TABLE", "VIEW"]
    name: str
    definition: str


class Dialect(Protocol):
    """How a database writes SQL. Statements are texts; parameters of a query come beside it."""

    def translated(self, sql: str) -> str:
        """Return a statement with `?` for its parameters as the database takes it."""
        ...

    def is_complete(self, sql: str) -> bool:
        """Say whether a text that ends with a semicolon is whole statements: it may end inside a string or trigger."""
        ...

    def quoted(self, name: str) -> str:
        """Return a name as it stands in a statement, whatever characters it has."""
        ...

    def list_objects(self, prefix: str) -> tuple[str, Sequence[Any]]:
        """Return a query, with its parameters, for the fields of each `TableObject` whose name begins so.

        Views come before tables, each by name: an order in which they can be dropped.
        """
        ...

    def drop(self, thing: TableObject) -> str:
        """Return the statement that drops a table or view, if it is there."""
        ...

    def create_view(self, name: str, table: str) -> str:
        """Return the statement that makes a view which shows a whole table."""
        ...


class SQLiteDialect:
    """SQLite's SQL."""

    def translated(self, sql: str) -> str:
        return sql

    def is_complete(self, sql: str) -> bool:
        return sqlite3.complete_statement(sql)

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

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
