"""The options of a `PostgreSQLStore`, and how its URL says them."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlencode

from actorium.store.errors import ConfigurationError
from actorium.store.tables.dialect import quoted

NAME_BYTES_MAX = 63
"""PostgreSQL cuts longer names off."""

_SYNCHRONOUS = ("on", "remote_apply", "remote_write", "local", "off")
_STANDBY = ("refuse", "wait")
_CONNECTIONS_MAX = 1_000
_PORT_MAX = 65_535

# The part of a connection URI that only concerns the way to the server; the client library reads it.
_CONNECTION = frozenset(
    {"host", "port", "user", "password", "passfile"}
    | {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"}
    | {"ssl_min_protocol_version", "ssl_max_protocol_version"}
)

# A joined array is planned as ten rows, and a plan made while the tables were small would scan them ever after: a
# look-up by an index is always right here.
_PLANNER = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_bitmapscan": "off", "jit": "off"}
# A host that vanished is noticed after about five seconds, on the server too.
_KEEPALIVE = {"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"}
# A frozen process must not hold a lock for longer.
_IDLE_IN_TRANSACTION_S = 2.0
_LOCK_S = 10.0

Role = Literal["append", "tables", "read", "query", "lease", "watch", "nodes", "wire", "upkeep"]
"""What a connection is for; upkeep reads or rebuilds whole tables, without a time limit."""


class PostgreSQLOptions(NamedTuple):
    """The options of a `PostgreSQLStore`, checked by `checked`."""

    schema: str
    standby: str
    name: str
    application_name: str
    lease_s: float
    patience_s: float
    connect_timeout_s: float
    statement_timeout_s: float
    query_timeout_s: float
    read_connections: int
    query_connections: int
    synchronous_commit: str

    def checked(self) -> PostgreSQLOptions:
        """Return these options; raise ConfigurationError for an invalid one."""
        for name, known in (("standby", _STANDBY), ("synchronous_commit", _SYNCHRONOUS)):
            if getattr(self, name) not in known:
                raise ConfigurationError(f"{name}={getattr(self, name)!r} is not one of {', '.join(known)}")
        if not 0 < len(self.schema.encode()) <= NAME_BYTES_MAX or "\0" in self.schema:
            raise ConfigurationError(f"schema={self.schema!r} must have 1 to {NAME_BYTES_MAX} bytes")
        for name in ("lease_s", "patience_s", "connect_timeout_s", "statement_timeout_s", "query_timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name}={getattr(self, name)!r} is not a number above 0")
        for name in ("read_connections", "query_connections"):
            if not 1 <= getattr(self, name) <= _CONNECTIONS_MAX:
                raise ConfigurationError(f"{name}={getattr(self, name)!r} is not between 1 and {_CONNECTIONS_MAX}")
        return self

    def silence_s(self, role: Role) -> float | None:
        """Return after how long without an answer a connection with this role counts as broken, in seconds.

        None means never. The server ends a statement by itself before that, if it can be reached at all.
        """
        if role == "upkeep":
            return None
        if role == "lease":
            return max(self.lease_s, self.connect_timeout_s)
        return self.connect_timeout_s + (self.query_timeout_s if role == "query" else self.statement_timeout_s)

    def server_settings(self, role: Role) -> dict[str, str]:
        """Return the server's settings for a connection with this role."""
        settings = {
            "application_name": f"{self.application_name} {role}",
            "search_path": quoted(self.schema),
            "timezone": "UTC",
            "standard_conforming_strings": "on",
            **_KEEPALIVE,
        }
        if role in ("append", "read"):
            settings |= _PLANNER
        if role in ("append", "tables", "nodes"):
            settings |= {
                "synchronous_commit": self.synchronous_commit,
                "statement_timeout": _milliseconds(self.statement_timeout_s),
                "idle_in_transaction_session_timeout": _milliseconds(_IDLE_IN_TRANSACTION_S),
                "lock_timeout": _milliseconds(_LOCK_S),
            }
        elif role == "query":
            settings |= {
                "statement_timeout": _milliseconds(self.query_timeout_s),
                "default_transaction_read_only": "on",
            }
        return settings


def _milliseconds(seconds: float) -> str:
    return str(max(1, min(round(seconds * 1000), 2**31 - 1)))


def default_name() -> str:
    """Return the name of this process for other runtimes: its host and its process id."""
    return f"{socket.gethostname()} pid {os.getpid()}"


OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "schema": str,
    "standby": str,
    "name": str,
    "application_name": str,
    "lease_s": float,
    "patience_s": float,
    "connect_timeout_s": float,
    "statement_timeout_s": float,
    "query_timeout_s": float,
    "read_connections": int,
    "query_connections": int,
    "synchronous_commit": str,
}
"""The options of the store that a URL may have, each with the function that reads its text."""


def split_url(place: str, options: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the client library's URI, with the options that only concern the connection, and the other options.

    Raises ConfigurationError for a port that is not one.
    """
    for host in place.partition("/")[0].rpartition("@")[2].split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not (port.isdecimal() and 0 < int(port) <= _PORT_MAX):
            raise ConfigurationError(f"the server {host!r} of a log: its port must be a number from 1 to {_PORT_MAX}")
    connection = {name: text for name, text in options.items() if name in _CONNECTION}
    query = f"?{urlencode(connection)}" if connection else ""
    return f"postgresql://{place}{query}", {name: text for name, text in options.items() if name not in _CONNECTION}


def shown(uri: str, schema: str) -> str:
    """Return where the log is, for a person: hosts, database and schema, without credentials."""
    hosts, _, database = uri.partition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")
    return f"{hosts or 'the local server'}/{unquote(database)} schema {schema}"
