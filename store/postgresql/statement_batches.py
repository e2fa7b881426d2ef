"""`StatementBatches`: many statements of projections in one message, as `EXECUTE` of prepared statements.

A message for each statement would make the server and the client wait for each other twice for each event. In a batch,
each statement is prepared once per connection; then one text executes all of them in their order, with the parameters
as literals. Only parameters whose literals mean exactly what the driver would send are written in this way. A batch
that is not possible, or that fails, is run statement by statement, which finds the one at fault.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import asyncpg

from actorium.store.event_store import Statement
from actorium.store.postgresql.connections.failures import is_of_server, is_timeout
from actorium.store.postgresql.connections.sessions import Connection
from actorium.store.postgresql.dialect import tokens
from actorium.store.postgresql.statements import refusal

_PREPARED_MAX = 200  # the statements that one connection keeps prepared
_MESSAGE_CHARACTERS = 200_000  # a longer text is sent in parts, each with a time limit of its own
_RUN_LENGTH = 50  # the driver already sends this many consecutive statements of one text more cheaply
_PREPARABLE = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})

Literal = Callable[[Any], str]


class BatchFailed(Exception):
    """A batch failed, and with it the transaction up to its last savepoint; no statement is at fault yet."""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# By the name of the parameter's type on the server: the one Python type that is written, and how.
_LITERALS: dict[str, tuple[type, Literal]] = {
    "text": (str, _text),
    "varchar": (str, _text),
    "int2": (int, lambda value: f"'{value}'"),
    "int4": (int, lambda value: f"'{value}'"),
    "int8": (int, lambda value: f"'{value}'"),
    "float8": (float, lambda value: f"'{value!r}'"),
    "bool": (bool, lambda value: "'true'" if value else "'false'"),
    "bytea": (bytes, lambda value: f"'\\x{value.hex()}'"),
}


class _Prepared(NamedTuple):
    """A statement that the server has prepared; it stays so as long as `statement` is referenced.

    literals: for each parameter the type of its values and the function that writes them.
    """

    statement: asyncpg.prepared_stmt.PreparedStatement[Any]
    literals: Sequence[tuple[type, Literal] | None]

    def call(self, parameters: Sequence[Any]) -> str | None:
        """Return the text that executes the statement, None if a parameter cannot be written."""
        if len(parameters) != len(self.literals):
            return None
        written = []
        for value, literal in zip(parameters, self.literals, strict=True):
            if value is None:
                written.append("NULL")
            elif literal is None or type(value) is not literal[0] or (isinstance(value, str) and "\0" in value):
                return None
            else:
                written.append(literal[1](value))
        arguments = f"({', '.join(written)})" if written else ""
        return f"EXECUTE {self.statement.get_name()}{arguments};"


class StatementBatches:
    """The prepared statements of one connection at a time."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()

    async def run(self, connection: Connection, statements: Sequence[Statement]) -> bool:
        """Run statements in their order; return False, with nothing run, if they cannot be run as a batch.

        Raises BatchFailed if one of them fails.
        """
        runs = sum(1 for _ in groupby(sql for sql, _ in statements))
        if runs < 2 or runs * _RUN_LENGTH < len(statements):
            return False
        if not all(_is_preparable(sql) for sql in {sql for sql, _ in statements}):
            return False
        if connection is not self._connection:
            self._connection, self._prepared = connection, OrderedDict()
        try:
            calls = []
            for sql, parameters in statements:
                prepared = self._prepared.get(sql) or await self._prepare(connection, sql)
                call = prepared.call(parameters)
                if call is None:
                    return False
                calls.append(call)
            for message in _messages(calls):
                await connection.execute(message)
        except Exception as error:
            if is_of_server(error) and not is_timeout(error):
                raise
            raise BatchFailed from error
        return True

    async def _prepare(self, connection: Connection, sql: str) -> _Prepared:
        if len(self._prepared) >= _PREPARED_MAX:
            self._prepared.popitem(last=False)
        statement = await connection.prepare(sql)
        literals = [
            _LITERALS.get(one.name) if one.schema == "pg_catalog" else None for one in statement.get_parameters()
        ]
        found = self._prepared[sql] = _Prepared(statement, literals)
        return found


def _is_preparable(sql: str) -> bool:
    first = next((token.keyword for token in tokens(sql) if token.kind == "word"), "")
    return first in _PREPARABLE and not refusal(sql)


def _messages(calls: Sequence[str]) -> Iterator[str]:
    """Yield the calls, joined to messages of a limited size."""
    part: list[str] = []
    size = 0
    for call in calls:
        part.append(call)
        size += len(call)
        if size >= _MESSAGE_CHARACTERS:
            yield "".join(part)
            part, size = [], 0
    if part:
        yield "".join(part)
