"""What an error of asyncpg says: about the server, about a statement, or about the settings."""

from __future__ import annotations

import asyncio
import socket

import asyncpg

from actorium.store.errors import ActoriumError, ConfigurationError, CorruptStore, StatementFailed, StoreUnavailable
from actorium.store.raised import error_text

# Classes of SQLSTATE that concern the server, not the statement: the connection, its resources, an operator's
# intervention, the system, an internal error, and a transaction that it rolled back.
_SERVER_CLASSES = frozenset({"08", "40", "53", "57", "58", "XX"})
_READ_ONLY_TRANSACTION = "25006"  # the server became a standby
_IDLE_IN_TRANSACTION = "25P03"
_LOCK_NOT_AVAILABLE = "55P03"
_SERVER_STATES = frozenset({_READ_ONLY_TRANSACTION, _IDLE_IN_TRANSACTION, _LOCK_NOT_AVAILABLE})
_QUERY_CANCELED = "57014"
_CLOSED = "connection is closed"
_DAMAGED = frozenset({"XX001", "XX002"})
_NO_RIGHT = "42501"
# What an operator or the URL must change, so that trying again does not help, and how: by SQLSTATE or its class.
_WRONG_SETTINGS = {
    "28": "correct the user or the password in the URL, or the server's pg_hba.conf",
    "3D": "create the database, or correct its name in the URL",
    _NO_RIGHT: "the role of the URL needs the right to create a schema in the database, or must own the log's schema "
    "and its tables; a process that only reads needs USAGE on the schema and SELECT on its tables",
}
_ADVICE = {
    "53300": "raise max_connections of the server, or lower read_connections and query_connections",
    "57P03": "the server is starting or stopping: wait, or see its log",
    _READ_ONLY_TRANSACTION: "connect to the primary, or wait until the failover has ended",
}
_ADVICE_BY_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (
        asyncpg.TargetServerAttributeNotMatched,
        "no host accepts writes: wait for the failover, or name the primary",
    ),
    (ConnectionRefusedError, "no server answers there: start PostgreSQL, or correct the host and the port in the URL"),
    (socket.gaierror, "correct the name of the host in the URL, or the name service"),
    (asyncio.TimeoutError, "nothing answers there: see whether the server, the network and the firewall work"),
    (FileNotFoundError, "a file that the URL names does not exist: a certificate, or the socket of the server"),
    (ConnectionError, "see whether the server works, and whether sslmode in the URL fits its settings"),
)


def is_of_server(error: BaseException) -> bool:
    """Whether an error concerns the server or the way to it, so that the same call may succeed later."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in _SERVER_CLASSES or state in _SERVER_STATES
    if isinstance(error, asyncpg.InterfaceError):
        return _CLOSED in str(error)  # the others are about the call
    # InternalClientError: the server closed the connection between two messages.
    return isinstance(error, OSError | asyncio.TimeoutError | asyncpg.InternalClientError | EOFError)


def is_timeout(error: BaseException) -> bool:
    """Whether the server ended a statement that ran for too long."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate == _QUERY_CANCELED


def is_write(error: BaseException) -> bool:
    """Whether the server refused to write for a connection that only reads."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate == _READ_ONLY_TRANSACTION


def is_of_statement(error: BaseException) -> bool:
    """Whether an error concerns the statement or its parameters."""
    ours = asyncpg.PostgresError | asyncpg.InterfaceError | TypeError | ValueError | OverflowError
    return isinstance(error, ours) and not is_of_server(error)


def unavailable(error: BaseException, what: str) -> ActoriumError:
    """Return our error for one of asyncpg's, which it chains, with advice; `what` says what failed and where."""
    state = error.sqlstate or "" if isinstance(error, asyncpg.PostgresError) else ""
    wrong = _WRONG_SETTINGS.get(state) or _WRONG_SETTINGS.get(state[:2], "")
    if isinstance(error, asyncpg.ClientConfigurationError | ValueError):
        wrong = "correct the URL"
    kind: type[ActoriumError] = StoreUnavailable
    if state in _DAMAGED:
        kind = CorruptStore
    elif wrong:
        kind = ConfigurationError
    advice = next((text for kind_, text in _ADVICE_BY_CLASS if isinstance(error, kind_)), "")
    advice = wrong or _ADVICE.get(state, advice)
    failure = kind(f"{what}: {error_text(error)}{f'; {advice}' if advice else ''}")
    failure.__cause__ = error
    return failure


def statement_failed(error: BaseException, sql: str) -> StatementFailed:
    """Return the error of a statement, with its cause chained."""
    failure = StatementFailed(f"{sql!r} failed: {error}")
    failure.__cause__ = error
    return failure
