"""`TableNames`: adds the version to a projection's table names, so that two versions can exist side by side.

Every name that the schema creates is replaced wherever it occurs as a name. A column with the same name as a table is
renamed too, consistently in all statements, which affects only its name in the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from actorium.runtime.projections.sql_tokens import STATEMENTS_KEPT, SqlToken, sql_tokens
from actorium.runtime.projections.tables import Table, definition_of
from actorium.store.errors import ConfigurationError
from actorium.store.tables.dialect import Dialect

_MAKES = frozenset({"TABLE", "VIEW", "INDEX", "TRIGGER"})
_BEFORE_NAME = frozenset({"IF", "NOT", "EXISTS"})
_SCHEMA_BEGINS = frozenset({"CREATE", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH"})
_HANDLER_BEGINS = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "SELECT"})
_QUERY_BEGINS = frozenset({"SELECT", "WITH", "VALUES"})
# Words around UPDATE where it does not begin a statement: DO UPDATE, AFTER UPDATE, UPDATE OF, UPDATE ON.
_NO_UPDATE_AFTER = frozenset({"DO", "AFTER", "BEFORE", "OF"})
_NO_UPDATE_BEFORE = frozenset({"ON", "OF"})
_CONFLICT_CLAUSES = frozenset({"ROLLBACK", "ABORT", "REPLACE", "FAIL", "IGNORE"})


class TableNames:
    """Rewrites one projection version's statements from plain names to its own tables' names.

    are_tied: the schema has a trigger, a view or a virtual table, so that a change of one table may change another.
    """

    def __init__(self, prefix: str, schema: str, dialect: Dialect, tables: Sequence[type[Table]] = ()) -> None:
        self.prefix = prefix
        self._dialect = dialect
        self.statements = split_statements(schema, dialect)
        self.row_tables = {table: f"{prefix}{definition_of(table).name}" for table in tables}
        self.addable = frozenset(table for table in tables if not definition_of(table).has_floats)
        self._row_names = frozenset(definition_of(table).name.lower() for table in tables)
        created = [definition_of(table).name for table in tables]
        created += [name for statement in self.statements if (name := _created(statement))]
        self.plain = tuple(dict.fromkeys(created))
        self._own = {name.lower(): f"{prefix}{name}" for name in self.plain}
        self.rewritten: dict[str, str] = {}
        self._groups: dict[str, int] = {}
        self._tables = {self._own[name.lower()]: n for n, name in enumerate(self.plain, 1)}
        # With a trigger or a view, a statement on one table may depend on another.
        keywords = {token.keyword for statement in self.statements for token in sql_tokens(statement)}
        self.are_tied = bool(keywords & {"TRIGGER", "VIEW", "VIRTUAL"})
        self._queries: dict[str, str] = {}

    def schema(self) -> list[str]:
        """Return the statements that create the tables."""
        rows = [
            self._dialect.create_table(msgspec.structs.replace(definition_of(table).shape, name=name))
            for table, name in self.row_tables.items()
        ]
        return rows + [self._checked(statement, _SCHEMA_BEGINS, "a schema") for statement in self.statements]

    def rewrite(self, sql: str) -> str:
        """Return a handler's statement with the versioned names; raise ConfigurationError if it is not allowed."""
        known = self.rewritten.get(sql)
        return known if known is not None else self._keep(self.rewritten, sql, _HANDLER_BEGINS, "a handler")

    def rewrite_query(self, sql: str) -> str:
        """Return a query with the versioned names; raise ConfigurationError for anything but a query."""
        known = self._queries.get(sql)
        return known if known is not None else self._keep(self._queries, sql, _QUERY_BEGINS, "a query")

    def select(self, table: type[Table], key_columns: int) -> str:
        """Return the query for the rows of a table in the order of their key, by the first columns of their key."""
        definition = definition_of(table)
        if table not in self.row_tables:
            raise ConfigurationError(f"{definition.name} is not in `tables` of the projection: add the class there")
        quoted, shape = self._dialect.quoted, definition.shape
        columns = ", ".join(quoted(column.name) for column in (*shape.keys, *shape.values))
        keys = [quoted(column.name) for column in shape.keys]
        conditions = " AND ".join(f"{key} = ?" for key in keys[:key_columns])
        where = f" WHERE {conditions}" if conditions else ""
        sql = f"SELECT {columns} FROM {quoted(self.row_tables[table])}{where} ORDER BY {', '.join(keys)}"
        return self._dialect.translated(sql)

    def group_of(self, rewritten: str) -> int:
        """Return the number of the only table that a rewritten statement uses; 0 if its order matters to others."""
        group = self._groups.get(rewritten)
        if group is None:
            if len(self._groups) >= STATEMENTS_KEPT:
                self._groups.clear()
            names = {token.name for token in sql_tokens(rewritten)}
            used = [number for name, number in self._tables.items() if name in names]
            group = self._groups[rewritten] = used[0] if len(used) == 1 and not self.are_tied else 0
        return group

    def _keep(self, kept: dict[str, str], sql: str, begins: frozenset[str], what: str) -> str:
        rewritten = self._checked(sql, begins, what)
        if len(kept) >= STATEMENTS_KEPT:
            kept.clear()  # too many distinct statements: they are not parameterised
        kept[sql] = rewritten
        return rewritten

    def _checked(self, sql: str, begins: frozenset[str], what: str) -> str:
        tokens = sql_tokens(sql)
        words = [token for token in tokens if token.keyword or token.name or token.string or token.text == "."]
        first = words[0].keyword if words else ""
        if first not in begins:
            raise ConfigurationError(f"{sql!r}: {what} of a projection must begin with {', '.join(sorted(begins))}")
        if first == "CREATE" and _created(sql) is None:
            raise ConfigurationError(f"{sql!r}: it must create a table, view, index or trigger that is not TEMP")
        if any(word.keyword == "ROLLBACK" for word in words):
            raise ConfigurationError(f"{sql!r}: ROLLBACK would undo other events too; use ABORT")
        if any(word.keyword == "REFERENCES" for word in words):
            raise ConfigurationError(
                f"{sql!r}: a projection must not use foreign keys, because one violation could make SQLite reject a "
                "whole commit: leave REFERENCES out, and delete dependent rows in the handler or with a trigger"
            )
        if begins is _HANDLER_BEGINS and self._row_names:
            self._refuse_row_tables(sql, words)
        for word in _written(words):
            name = word.name or word.text
            if begins is _QUERY_BEGINS:
                raise ConfigurationError(f"{sql!r} writes to {name!r}: a query can only read")
            if name.lower() not in self._own:
                raise ConfigurationError(
                    f"{sql!r} writes to {name!r}, which is not a table of the projection ({', '.join(self.plain)}): "
                    "create it in `schema`, and use its plain name"
                )
        return self._dialect.translated("".join(self._renamed(token) for token in tokens))

    def _refuse_row_tables(self, sql: str, words: Sequence[SqlToken]) -> None:
        """Raise ConfigurationError for a handler's statement that uses a table of rows: their order is not defined."""
        for word in words:
            if word.name.lower() in self._row_names:
                raise ConfigurationError(
                    f"{sql!r} uses {word.name!r}, which is listed in `tables`, so changes to it have no order "
                    "relative to statements: use tx.put, tx.add and tx.delete, or create the table in `schema`"
                )

    def _renamed(self, token: SqlToken) -> str:
        own = self._own.get(token.name.lower()) if token.name else None
        return token.text if own is None else self._dialect.quoted(own)


def _created(sql: str) -> str | None:
    """Return the name that a CREATE statement creates; None for any other statement."""
    words = [token for token in sql_tokens(sql) if token.keyword or token.name]
    kinds = [token.keyword for token in words[:3]]
    if kinds[:1] != ["CREATE"]:
        return None
    place = next((n for n, kind in enumerate(kinds) if kind in _MAKES), 0)
    if not place or any(kind not in ("UNIQUE", "VIRTUAL") for kind in kinds[1:place]):
        return None
    place += 1
    while place < len(words) and words[place].keyword in _BEFORE_NAME:
        place += 1
    return words[place].name if place < len(words) else None


def _written(words: list[SqlToken]) -> Iterator[SqlToken]:
    """Yield the names of the objects that a statement writes to; a qualified name counts as its database's name.

    SQLite accepts a string where it expects a name, so strings are yielded too; they match no table.
    """
    for n, word in enumerate(words):
        before = words[n - 1].keyword if n else ""
        behind = n + 1
        if word.keyword == "UPDATE":
            following = words[behind].keyword if behind < len(words) else ""
            if before in _NO_UPDATE_AFTER or following in _NO_UPDATE_BEFORE:
                continue
            if following == "OR" and behind + 1 < len(words) and words[behind + 1].keyword in _CONFLICT_CLAUSES:
                behind += 2
        elif not (word.keyword == "INTO" or (word.keyword == "FROM" and before == "DELETE")):
            continue
        if behind < len(words):
            yield words[behind]


def split_statements(script: str, dialect: Dialect) -> list[str]:
    """Return the statements of a script, split at semicolons that end one (not inside a string or a trigger)."""
    statements: list[str] = []
    rest = ""
    for part in script.split(";"):
        rest += part + ";"
        if dialect.is_complete(rest):
            statements.append(rest)
            rest = ""
    statements.append(rest)
    return [text for statement in statements if (text := statement.strip().rstrip(";").strip()) and _is_code(text)]


def _is_code(sql: str) -> bool:
    return any(token.keyword or token.name for token in sql_tokens(sql))
