"""Names of tables: a projection writes plain names, its tables carry its version, so that two can live side by side."""

from __future__ import annotations

import re
import sqlite3

from actorium.store.errors import ConfigurationError

_CREATED = re.compile(
    r"\bCREATE\s+(?:UNIQUE\s+)?(?:VIRTUAL\s+)?(?:TABLE|VIEW|INDEX|TRIGGER)\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"\[`]?(\w+)",
    re.IGNORECASE,
)
# A string, a comment, a quoted name, or a plain word: only the last two can be names.
_TOKEN = re.compile(
    r"(?P<skip>'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/)|\"(?P<double>[^\"]+)\"|\[(?P<square>[^\]]+)\]|`(?P<back>[^`]+)`"
    r"|(?P<word>[A-Za-z_]\w*)",
    re.DOTALL,
)
_WRITES = re.compile(
    r"\b(?:INTO|UPDATE|DELETE\s+FROM|DROP\s+TABLE|ALTER\s+TABLE)\s+(?:OR\s+\w+\s+)?[\"\[`]?(\w+)", re.IGNORECASE
)
_NOT_A_TABLE = re.compile(
    r"\s*(?:PRAGMA|ATTACH|DETACH|BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|VACUUM)\b", re.IGNORECASE
)
_STATEMENTS_KEPT = 1_000


class TableNames:
    """Rewrites one projection version's statements from plain names to its own tables' names."""

    def __init__(self, prefix: str, schema: str) -> None:
        self.prefix = prefix
        self.plain = tuple(dict.fromkeys(_CREATED.findall(schema)))
        self._own = {name.lower(): f"{prefix}{name}" for name in self.plain}
        self._rewritten: dict[str, str] = {}

    def rewrite(self, sql: str) -> str:
        """Return a statement with its projection's table names; raise ConfigurationError for one it may not run."""
        known = self._rewritten.get(sql)
        if known is not None:
            return known
        if _NOT_A_TABLE.match(sql):
            raise ConfigurationError(f"{sql!r}: a projection's statements work on its own tables; the rest is not its")
        for name in _WRITES.findall(sql):
            if name.lower() not in self._own and not name.upper() == "SET":
                raise ConfigurationError(
                    f"{sql!r} writes to {name!r}, which is none of the projection's tables ({', '.join(self.plain)}): "
                    "create it in `schema`"
                )
        rewritten = _TOKEN.sub(self._token, sql)
        if len(self._rewritten) >= _STATEMENTS_KEPT:
            self._rewritten.clear()  # statements are meant to be few and parameterised; these are not
        self._rewritten[sql] = rewritten
        return rewritten

    def _token(self, match: re.Match[str]) -> str:
        name = match["double"] or match["square"] or match["back"] or match["word"]
        own = self._own.get(name.lower()) if name else None
        return match[0] if own is None else f'"{own}"'


def split_statements(script: str) -> list[str]:
    """Return the statements of a script, split where a semicolon ends one (not inside a string or a trigger)."""
    statements: list[str] = []
    rest = ""
    for part in script.split(";"):
        rest += part + ";"
        if sqlite3.complete_statement(rest):
            if rest.strip(" \n\t;"):
                statements.append(rest.strip().rstrip(";"))
            rest = ""
    if rest.strip(" \n\t;"):
        statements.append(rest.strip().rstrip(";"))
    return statements
