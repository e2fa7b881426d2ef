"""`PostgreSQLDialect`: PostgreSQL's SQL, with `?` for each parameter and INTEGER with 64 bits, as on SQLite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from actorium.store.errors import ConfigurationError
from actorium.store.postgresql.connections.options import NAME_BYTES_MAX
from actorium.store.tables.dialect import TableObject, quoted
from actorium.store.tables.row_tables import ColumnKind, RowTable

COLUMN_TYPES: dict[ColumnKind, str] = {"int": "bigint", "float": "double precision", "text": "text", "bytes": "bytea"}
"""The types of the columns of a table of rows."""

_TEXTS_KEPT = 2_000

# The lexical rules of PostgreSQL's manual. An unfinished string, name or comment matches to the end of the text.
_TOKEN = re.compile(
    r"""(?P<space> \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<string> [eE]' (?: [^'\\] | \\. | '' )* (?: '|\Z ) | [bBxXnN]?' (?: [^'] | '' )* (?: '|\Z ) )
    | (?P<dollar> \$\$ .*? (?: \$\$ | \Z ) | \$ (?P<tag> [^\W\d]\w* ) \$ .*? (?: \$ (?P=tag) \$ | \Z ) )
    | (?P<name> (?:[uU]&)?" (?: [^"] | "" )* (?: "|\Z ) )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<number> \d[\w.]* )
    | (?P<symbol> . )""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT_PART = re.compile(r"/\*|\*/")

TokenKind = Literal["space", "string", "name", "word", "number", "symbol"]


class Token(NamedTuple):
    """A part of a statement. Comments count as space; the texts of all parts join to the statement."""

    kind: TokenKind
    text: str

    @property
    def keyword(self) -> str:
        """A bare word in capitals; empty for every other kind."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name that a word or a quoted name stands for."""
        return self.text[1:-1].replace('""', '"') if self.kind == "name" else self.text


@lru_cache(_TEXTS_KEPT)
def tokens(sql: str) -> tuple[Token, ...]:
    """Return the parts of a text."""
    found: list[Token] = []
    place = 0
    while place < len(sql):
        match = _TOKEN.match(sql, place)
        assert match is not None, "every character matches"
        kind, end = match.lastgroup, match.end()
        if match["comment"]:
            kind, end = "space", _comment_end(sql, place)
        elif match["dollar"]:
            kind = "string"
        found.append(Token(kind, sql[place:end]))  # type: ignore[arg-type]  # the groups are named after the kinds
        place = end
    return tuple(found)


def _comment_end(sql: str, start: int) -> int:
    """Return the end of a comment, which may contain others."""
    depth = 0
    for part in _COMMENT_PART.finditer(sql, start):
        depth += 1 if part[0] == "/*" else -1
        if depth == 0:
            return part.end()
    return len(sql)


@lru_cache(_TEXTS_KEPT)
def _translated(sql: str) -> str:
    parts = tokens(sql)
    first = next((part.keyword for part in parts if part.kind == "word"), "")
    out: list[str] = []
    number = 0
    for part in parts:
        text = part.text
        if part.kind == "symbol" and text == "?":
            number += 1
            text = f"${number}"
        elif first == "CREATE" and part.keyword in ("INTEGER", "INT"):
            text = "bigint"
        out.append(text)
    return "".join(out)


class PostgreSQLDialect:
    """PostgreSQL's SQL: every `?` outside a string is a parameter; an INTEGER column has 64 bits."""

    name = "postgresql"
    # The server keeps every version of a row until the commit, and a statement looks at all of them: the thousandth
    # change of a row in one transaction costs several times as much as the first.
    events_per_commit: int | None = 500

    def translated(self, sql: str) -> str:
        return _translated(sql)

    def is_complete(self, sql: str) -> bool:
        parts = tokens(sql)
        last = next((part for part in reversed(parts) if part.kind != "space"), None)
        return last is not None and last == Token("symbol", ";") and not _is_open(parts[-1])

    def quoted(self, name: str) -> str:
        if len(name.encode()) > NAME_BYTES_MAX:
            raise ConfigurationError(
                f"{name!r} exceeds PostgreSQL's limit of {NAME_BYTES_MAX} bytes for a name: shorten the name of the "
                "table or the projection"
            )
        return quoted(name)

    def list_objects(self, prefix: str) -> tuple[str, Sequence[Any]]:
        return _OBJECTS, (prefix,)

    def drop(self, thing: TableObject) -> str:
        return f"DROP {thing.kind} IF EXISTS {quoted(thing.name)}"

    def create_view(self, name: str, table: str) -> str:
        return f"CREATE VIEW {self.quoted(name)} AS SELECT * FROM {self.quoted(table)}"

    def create_table(self, table: RowTable) -> str:
        columns = [
            f"{self.quoted(column.name)} {COLUMN_TYPES[column.kind]}"
            + (' COLLATE "C"' if column.kind == "text" else "")
            + ("" if column.is_optional else " NOT NULL")
            for column in (*table.keys, *table.values)
        ]
        keys = ", ".join(self.quoted(column.name) for column in table.keys)
        return f"CREATE TABLE {self.quoted(table.name)} ({', '.join(columns)}, PRIMARY KEY ({keys}))"


def _is_open(last: Token) -> bool:
    """Whether the text ends inside a comment."""
    return last.kind == "space" and last.text.startswith("/*") and not last.text.endswith("*/")


# A view's definition lists the quoted names of what it reads.
_OBJECTS = """
SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname::text, coalesce((
    SELECT string_agg(DISTINCT '"' || replace(source.relname, '"', '""') || '"', ' ')
    FROM pg_rewrite JOIN pg_depend ON pg_depend.objid = pg_rewrite.oid AND pg_depend.classid = 'pg_rewrite'::regclass
    JOIN pg_class AS source ON source.oid = pg_depend.refobjid AND pg_depend.refclassid = 'pg_class'::regclass
    WHERE pg_rewrite.ev_class = pg_class.oid AND source.oid <> pg_class.oid
), '')
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = current_schema() AND relkind IN ('r', 'v') AND starts_with(relname, $1::text)
ORDER BY relkind DESC, relname::text COLLATE "C\""""
