"""`Growth`: tells other processes that the log has grown, and hears it from them.

A notification is a hint, sent after a commit and not inside it: a transaction with a notification takes a lock of the
whole server when it commits. So a hint may be lost, and who waits for the log to grow also looks by itself.

Invariants: at most one hint is sent per `_TELL_EVERY_S`, and one follows the last append; the log is read only after
the connection listens, so no append between the two is missed.
"""

from __future__ import annotations

import asyncio
from zlib import crc32

from actorium.store.event_store import Head
from actorium.store.log import logger
from actorium.store.postgresql import reading
from actorium.store.postgresql.connections.sessions import Connection, Session
from actorium.store.raised import error_text

log = logger("actorium.store")

_TELL = "SELECT pg_notify($1, '')"
_TELL_EVERY_S = 0.01


class Growth:
    """The hints of one store, on a connection of its own, which is opened when it is first needed."""

    def __init__(self, session: Session, *, schema: str) -> None:
        self.session = session
        # A channel belongs to the database. Two schemas with the same channel would only get more hints.
        self._channel = f"actorium_{crc32(schema.encode()):08x}"
        self._listening: Connection | None = None
        self._heard = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self._has_grown = False
        session.on_closed = self._heard.set

    def grown(self) -> None:
        """Note that this store has appended: tell the others soon."""
        self._has_grown = True
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            while self._has_grown:
                self._has_grown = False
                await self.session.run(lambda c: c.execute(_TELL, self._channel))
                await asyncio.sleep(_TELL_EVERY_S)
        except Exception as error:
            log.info("store.growth_not_told", error=error_text(error))
        finally:
            self._telling = None

    async def look(self, connection: Connection) -> Head:
        """Return the end of the log; from now on, the connection listens."""
        self._heard.clear()
        if self._listening is not connection:
            await connection.add_listener(self._channel, self._hear)
            self._listening = connection
        return await reading.head(connection)

    def _hear(self, connection: object, pid: int, channel: str, payload: object) -> None:
        if self._listening is None or pid != self._listening.get_server_pid():
            self._heard.set()

    async def heard(self, within_s: float) -> None:
        """Wait until another process says that the log has grown, or `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._heard.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Stop telling, and close the connection."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        self._heard.set()
        await self.session.close()
