"""What an error of asyncpg says: about the server, about a statement, or about the settings."""

from __future__ import annotations

import asyncio

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
# Wrong in the URL, and so after any time: credentials, and the database's name.
_SETTINGS_CLASSES = frozenset({"28", "3D"})


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
    """Return our error for one of asyncpg's, which it chains; `what` says what failed."""
    state = error.sqlstate or "" if isinstance(error, asyncpg.PostgresError) else ""
    kind: type[ActoriumError] = StoreUnavailable
    if state in _DAMAGED:
        kind = CorruptStore
    elif state[:2] in _SETTINGS_CLASSES:
        kind = ConfigurationError
    failure = kind(f"{what}: {error_text(error)}")
    failure.__cause__ = error
    return failure


def statement_failed(error: BaseException, sql: str) -> StatementFailed:
    """Return the error of a statement, with its cause chained."""
    failure = StatementFailed(f"{sql!r} failed: {error}")
    failure.__cause__ = error
    return failure
