"""`Growth`: tells other processes that the log has grown, and hears it from them.

A notification is a hint, sent after a commit and not inside it: a transaction with a notification takes a lock of the
whole server when it commits. So a hint may be lost, and who waits for the log to grow also looks by itself. A hint says
where the log ends, so it costs who hears it no statement.

Invariants: at most one hint is sent per `_TELL_EVERY_S`, and one follows the last append; the log is read only after
the connection listens, so no append between the two is missed; `end` never goes back.
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

_TELL = "SELECT pg_notify($1, $2)"
_TELL_EVERY_S = 0.01


class Growth:
    """The hints of one store, on a connection of its own, which is opened when it is first needed."""

    def __init__(self, session: Session, *, schema: str) -> None:
        self.session = session
        self.end = Head(0, 0)
        """The end of the log, as last heard or read."""
        self.must_look = True
        """Whether the log may have grown without a hint."""
        # A channel belongs to the database, and two schemas may have the same one, so hints name their schema.
        self._schema = schema
        self._channel = f"actorium_{crc32(schema.encode()):08x}"
        self._listening: Connection | None = None
        self._heard = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self._own_end = self._told_end = Head(0, 0)  # of what this store has appended
        session.on_closed = self._look_again

    def grown_to(self, end: Head) -> None:
        """Note that this store has appended: tell the others soon."""
        self._own_end = end
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            while self._told_end is not self._own_end:
                self._told_end = end = self._own_end
                hint = f"{end.position} {end.recorded_us} {self._schema}"
                await self.session.run(lambda c: c.execute(_TELL, self._channel, hint))  # noqa: B023  (it runs at once)
                await asyncio.sleep(_TELL_EVERY_S)
        except Exception as error:
            log.info("store.growth_not_told", error=error_text(error))
        finally:
            self._telling = None

    async def look(self, connection: Connection) -> None:
        """Read the end of the log; from now on, the connection listens."""
        self.must_look = False
        if self._listening is not connection:
            await connection.add_listener(self._channel, self._hear)
            self._listening = connection
        self._ends_at(await reading.head(connection))

    def _hear(self, connection: object, pid: int, channel: str, hint: object) -> None:
        if self._listening is not None and pid == self._listening.get_server_pid():
            return
        position, _, rest = str(hint).partition(" ")
        recorded_us, _, schema = rest.partition(" ")
        if schema == self._schema:
            self._ends_at(Head(int(position), int(recorded_us)))
        else:  # of another log; or of an earlier version, whose hints are empty
            self._look_again()

    def _ends_at(self, end: Head) -> None:
        if end.position > self.end.position:
            self.end = end
            self._wake()

    def _look_again(self) -> None:
        self.must_look = True
        self._wake()

    def _wake(self) -> None:
        heard, self._heard = self._heard, asyncio.Event()
        heard.set()

    async def heard(self, within_s: float) -> None:
        """Wait until `end` has moved or the log is to be looked at, which it is after `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._heard.wait()
        except TimeoutError:
            self.must_look = True

    async def close(self) -> None:
        """Stop telling, and close the connection."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        self._wake()
        await self.session.close()
