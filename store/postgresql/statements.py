"""What projections write: their statements, with what they may do, and the rows of their tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from actorium.store.errors import StatementFailed
from actorium.store.event_store import Statement
from actorium.store.postgresql.connections.failures import (
    is_of_server,
    is_of_statement,
    is_timeout,
    is_write,
    statement_failed,
)
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.dialect import COLUMN_TYPES, Token, tokens
from actorium.store.postgresql.schema import OWN_TABLES
from actorium.store.tables.dialect import quoted
from actorium.store.tables.row_tables import Column, RowChanges, RowTable

_TEXTS_KEPT = 1_000
_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW"})
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "SELECT", "CREATE", "DROP"})
# Words before the name of what a statement changes.
_BEFORE_TARGET = frozenset({"INTO", "UPDATE", "FROM", "TABLE", "VIEW", "INDEX", "ON", "EXISTS", "ONLY", "TRIGGER"})
_READS_FROM = frozenset({"SELECT"})


@lru_cache(_TEXTS_KEPT)
def refusal(sql: str) -> str:
    """Return why a projection may not run a statement; empty if it may."""
    words = [token for token in tokens(sql) if token.kind in ("word", "name")]
    first = words[0].keyword if words else ""
    if first not in _CHANGES:
        return f"begins with {first or 'no word'}, which is not allowed"
    for before, target in _targets(words):
        if target.name.lower() in OWN_TABLES:
            return f"changes {target.name}, a table of the log ({before} {target.name})"
    return ""


def _targets(words: list[Token]) -> Iterator[tuple[str, Token]]:
    """Yield the names that a statement may change, each with the word before it."""
    for n, word in enumerate(words[:-1]):
        before = words[n - 1].keyword if n else ""
        following = words[n + 1]
        reads = word.keyword == "FROM" and before != "DELETE"
        if word.keyword == "ON" and words[0].keyword != "CREATE":
            continue
        if word.keyword in _BEFORE_TARGET and not reads and following.keyword not in ("IF", "ONLY", "NOT", "EXISTS"):
            yield word.keyword, following


async def run_statements(connection: Connection, statements: Sequence[Statement]) -> None:
    """Run statements in order, with consecutive ones of the same text as one call; raise StatementFailed."""
    for sql, run in groupby(statements, key=itemgetter(0)):
        if reason := refusal(sql):
            raise StatementFailed(f"{sql!r} {reason}")
        rows = [tuple(parameters) for _, parameters in run]
        try:
            if len(rows) == 1:
                await connection.fetch(sql, *rows[0])  # `execute` without parameters takes several statements
            else:
                await connection.executemany(sql, rows)
        except Exception as error:
            if is_of_server(error) and not is_timeout(error):
                raise
            raise statement_failed(error, sql) from error


async def change_rows(connection: Connection, rows: Sequence[RowChanges]) -> None:
    """Change rows of projections, all of one kind and table in one statement; raise StatementFailed."""
    for changes in rows:
        put, add, delete = _row_statements(changes.table)
        for sql, values in ((delete, changes.delete), (put, changes.put), (add, changes.add)):
            if not values:
                continue
            try:
                await connection.execute(sql, *map(list, zip(*values, strict=True)))
            except Exception as error:
                if is_of_server(error) and not is_timeout(error):
                    raise
                raise statement_failed(error, sql) from error


@lru_cache(_TEXTS_KEPT)
def _row_statements(table: RowTable) -> tuple[str, str, str]:
    """Return the statements that put, add and delete rows, given an array for each column."""
    columns = (*table.keys, *table.values)
    names, keys = ", ".join(quoted(one.name) for one in columns), [quoted(one.name) for one in table.keys]
    insert = (
        f"INSERT INTO {quoted(table.name)} AS old ({names}) SELECT * FROM unnest({_arrays(columns)}) "
        f"ON CONFLICT ({', '.join(keys)}) DO "
    )
    put = ", ".join(f"{quoted(one.name)} = excluded.{quoted(one.name)}" for one in table.values)
    add = ", ".join(map(_added, table.values))
    same = " AND ".join(f"old.{key} = gone.{key}" for key in keys)
    delete = (
        f"DELETE FROM {quoted(table.name)} AS old USING unnest({_arrays(table.keys)}) AS gone ({', '.join(keys)}) "
        f"WHERE {same}"
    )
    if not table.values:
        return f"{insert}NOTHING", f"{insert}NOTHING", delete
    return f"{insert}UPDATE SET {put}", f"{insert}UPDATE SET {add}", delete


def _arrays(columns: Sequence[Column]) -> str:
    return ", ".join(f"${number}::{COLUMN_TYPES[one.kind]}[]" for number, one in enumerate(columns, 1))


def _added(column: Column) -> str:
    name = quoted(column.name)
    new = f"old.{name} + excluded.{name}" if column.is_number else f"excluded.{name}"
    if column.is_optional:
        new = f"coalesce({new}, excluded.{name}, old.{name})"
    return f"{name} = {new}"


async def query(connection: Connection, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query; raise StatementFailed if it fails, takes too long, or is not a query."""
    words = [token.keyword for token in tokens(sql) if token.kind == "word"]
    if not words or words[0] not in _QUERIES:
        raise StatementFailed(f"{sql!r} begins with {words[0] if words else 'no word'}, but a query can only read")
    try:
        return [tuple(row) for row in await connection.fetch(sql, *parameters)]
    except Exception as error:
        if is_of_statement(error) or is_timeout(error) or is_write(error):
            raise statement_failed(error, sql) from error
        raise
