"""Opens connections, and checks that the server is one that this log can rely on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from actorium.store.errors import ConfigurationError, Fenced
from actorium.store.event_store import AppendBatch, Appended
from actorium.store.log import logger
from actorium.store.postgresql.connections.options import PostgreSQLOptions, Role, shown
from actorium.store.postgresql.connections.sessions import Connection

log = logger("actorium.store")

_SETTING_NAMES = (
    "application_name",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
    "fsync",
    "full_page_writes",
    "synchronous_standby_names",
)
_SETTINGS = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in _SETTING_NAMES)
_POSITION = "SELECT position FROM log"
# What a pooler that serves one transaction at a time does with a connection's settings: refuse, or drop them.
_UNSUPPORTED_PARAMETER = "unsupported startup parameter"
_POOLER = (
    "a connection pooler in front of the database does not keep a connection's settings: it works per "
    "transaction, but the log needs sessions; connect to PostgreSQL directly"
)
_SAFE = {
    "fsync": "a power cut may destroy the database",
    "full_page_writes": "a power cut may destroy the database",
    "synchronous_commit": "a power cut, or a crash of the server, may lose the last acknowledged commits",
}
_ENCODING = "UTF8"
_OLDEST = 14


class Connector:
    """Opens connections to the server that takes writes, for one store.

    acknowledged: the last position whose event somebody was told of. A server that ends below it lacks acknowledged
        events: to continue there would give their positions out a second time.
    """

    def __init__(self, uri: str, options: PostgreSQLOptions) -> None:
        self._uri = uri
        self._options = options
        self.acknowledged = 0
        self.place = shown(uri, options.schema)

    def acknowledge(self, batch: AppendBatch, appended: Appended) -> bool:
        """Note the last position that a batch wrote; return whether it wrote any."""
        for append, outcome in zip(reversed(batch.appends), reversed(appended.outcomes), strict=True):
            if isinstance(outcome, int):
                self.acknowledged = outcome + len(append.events) - 1
                return True
        return False

    def for_role(self, role: Role) -> Callable[[], Awaitable[Connection]]:
        """Return a function that opens a connection with this role."""

        async def connect() -> Connection:
            connection = await self._connect(role)
            try:
                await self._refuse_shortened(connection)
            except BaseException:
                connection.terminate()
                raise
            return connection

        return connect

    async def _connect(self, role: Role) -> Connection:
        try:
            return await asyncpg.connect(
                self._uri,
                timeout=self._options.connect_timeout_s,
                command_timeout=self._options.silence_s(role),
                target_session_attrs=SessionAttribute.primary,  # of several hosts: after a failover it is another
                server_settings=self._options.server_settings(role),
            )
        except asyncpg.PostgresError as error:
            if _UNSUPPORTED_PARAMETER in str(error):
                raise ConfigurationError(f"{self.place}: {_POOLER}") from error
            raise

    async def _refuse_shortened(self, connection: Connection) -> None:
        acknowledged = self.acknowledged  # before the question: appends go on while the answer is on its way
        if acknowledged:
            position = await connection.fetchval(_POSITION)
            if position < acknowledged:
                raise Fenced(
                    f"{self.place} ends at position {position}, but position {acknowledged} was acknowledged: "
                    "this server lacks events that another one had; nothing was written to it. Restore the missing "
                    "events, and set synchronous_standby_names so that a standby cannot lag behind"
                )

    async def examine(self, connection: Connection) -> str:
        """Check the server's settings, and return what they mean for acknowledged commits; warn of unsafe ones."""
        row = await connection.fetchrow(_SETTINGS)
        assert row is not None, "a query without a table has one row"
        wanted = self._options.server_settings("lease")
        if (row["application_name"], row["search_path"]) != (wanted["application_name"], wanted["search_path"]):
            raise ConfigurationError(f"{self.place}: {_POOLER}")
        if int(row["server_version_num"]) < _OLDEST * 10_000:
            raise ConfigurationError(
                f"{self.place}: the server is PostgreSQL {row['server_version']}, but Actorium needs {_OLDEST} or "
                "newer: upgrade the server"
            )
        if row["server_encoding"] != _ENCODING:
            raise ConfigurationError(
                f"{self.place}: the encoding of the database is {row['server_encoding']}, not {_ENCODING}: create it "
                f"with ENCODING '{_ENCODING}'"
            )
        commit = self._options.synchronous_commit
        found = {"fsync": row["fsync"], "full_page_writes": row["full_page_writes"], "synchronous_commit": commit}
        unsafe = [name for name, value in found.items() if value == "off"]
        for name in unsafe:
            log.warning("store.unsafe_server", place=self.place, setting=f"{name}=off", consequence=_SAFE[name])
        if unsafe:
            survive = f"{', '.join(f'{name}=off' for name in unsafe)}: {_SAFE[unsafe[0]]}"
        else:
            copies = row["synchronous_standby_names"]
            survive = f"synchronous_commit={commit}: acknowledged commits survive a power cut"
            survive += f", and are on {copies}" if copies else ", but not the loss of the server"
        return f"postgresql {row['server_version'].split()[0]} {self.place} ({survive})"
