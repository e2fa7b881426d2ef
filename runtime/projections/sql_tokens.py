"""The words, names, strings and symbols of an SQL statement, as sqlglot's tokenizer for SQLite finds them.

Statements are only split, never parsed: the joined parts give the original text, with its comments and layout
(docs/decisions/0029). sqlglot comes with the extra `sql`, and is imported for the first statement, because the import
takes a tenth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from actorium.store.errors import ConfigurationError, from_extra

STATEMENTS_KEPT = 1_000

_WORD = re.compile(r"[^\W\d][\w$]*")
_QUOTES = ('"', "[", "`")
# Before a parameter's name (:name, @name, $name, #1), or before what looks like a word at the end of a number (1_000).
_NO_NAME_AFTER = re.compile(r"[:@$#\w]")


_Place = tuple[int, int, str]
"""The start of a token, the start of what follows it, and its text without quotes."""


class SqlToken(NamedTuple):
    """A part of a statement, in the order written; spaces and comments are parts with neither keyword nor name.

    text: the original text.
    keyword: a bare word, in capitals.
    name: a possible name of a table or a column: a bare word, or the text between identifier quotes.
    string: a string literal, quotes included.
    """

    text: str
    keyword: str = ""
    name: str = ""
    string: str = ""


@lru_cache(STATEMENTS_KEPT)
def sql_tokens(sql: str) -> tuple[SqlToken, ...]:
    """Return the parts of a statement, which join to its text; ConfigurationError if it cannot be split."""
    found: list[SqlToken] = []
    end = 0
    for start, next_start, content in _split(sql):
        if start > end:
            found.append(SqlToken(sql[end:start]))
        end = next_start
        found.append(_part(sql[start:end], sql[start - 1 : start], content))
    if end < len(sql):
        found.append(SqlToken(sql[end:]))
    return tuple(found)


def _part(text: str, before: str, content: str) -> SqlToken:
    if text.startswith(_QUOTES):
        return SqlToken(text, name=content)
    if text.endswith("'"):
        return SqlToken(text, string=text)
    if _WORD.fullmatch(text) and not _NO_NAME_AFTER.match(before):
        return SqlToken(text, keyword=text.upper(), name=text)
    return SqlToken(text)


def _split(sql: str) -> Sequence[_Place]:
    split = _splitter()
    from sqlglot.errors import TokenError

    try:
        return split(sql)
    except TokenError as error:
        raise ConfigurationError(f"{sql!r} cannot be parsed as SQL: close every string, name and comment") from error


@cache
def _splitter() -> Callable[[str], Sequence[_Place]]:
    with from_extra("sql", "a projection with a `schema`", "sqlglot"):
        from sqlglot.dialects.sqlite import SQLite

    class Statements(SQLite.Tokenizer):
        """SQLite's tokenizer, but with each word as a token of its own.

        The original treats everything after certain words, such as REPLACE, as one string.
        """

        COMMANDS = set()
        KEYWORDS = {word: kind for word, kind in SQLite.Tokenizer.KEYWORDS.items() if " " not in word}

    tokenizer = Statements(dialect=SQLite)
    return lambda sql: [(token.start, token.end + 1, token.text) for token in tokenizer.tokenize(sql)]
