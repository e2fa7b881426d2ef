"""`LogWatch`: keeps a log tail up to date with a log that other processes write to."""

from __future__ import annotations

import asyncio

from actorium.runtime.log.log_tail import LogTail
from actorium.store.errors import Transient
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.raised import error_text
from actorium.store.shared import SharedStore

log = logger("actorium.runtime")


class LogWatch:
    """Tells a log tail of the appends of other processes: at each hint of the store, and every `poll_s` seconds."""

    def __init__(self, store: EventStore, log_tail: LogTail, poll_s: float) -> None:
        self._store = store
        self._log_tail = log_tail
        self._poll_s = poll_s

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                if isinstance(self._store, SharedStore):
                    self._log_tail.grew_to(await self._store.watch(self._log_tail.position, self._poll_s))
                else:  # it gives no hints
                    await asyncio.sleep(self._poll_s)
                    self._log_tail.grew_to(await self._store.head())
            except Transient as error:
                log.warning("log_not_watched", error=error_text(error))
                await asyncio.sleep(self._poll_s)
