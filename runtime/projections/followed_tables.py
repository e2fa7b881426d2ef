"""`FollowedTables`: the progress of a projection's tables that another process fills."""

from __future__ import annotations

import asyncio

from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.projections.table_projection import TableProjection
from actorium.store.errors import ConfigurationError, Transient
from actorium.store.log import logger
from actorium.store.raised import error_text

log = logger("actorium.runtime")

_LOOK_AGAIN_S = 0.01  # doubled as long as nothing moves


class FollowedTables:
    """Looks at the saved checkpoint of a projection while it is behind the log, so that queries can wait for it."""

    def __init__(self, work: TableProjection, checkpoint: Checkpoint, log_tail: LogTail, poll_s: float) -> None:
        self._work = work
        self._checkpoint = checkpoint
        self._log_tail = log_tail
        self._poll_s = poll_s

    async def prepare(self) -> None:
        """Look for the first time; raise ConfigurationError if the tables belong to newer code."""
        await self._work.look()

    async def run(self) -> None:
        """Follow the checkpoint until cancelled, or until newer code has taken over the tables."""
        pause_s = _LOOK_AGAIN_S
        try:
            while True:
                try:
                    has_moved = await self._work.look()
                except Transient as error:
                    log.warning("projection_not_followed", projection=self._checkpoint.name, error=error_text(error))
                    has_moved = False
                except ConfigurationError as error:
                    log.error("projection_not_followed", projection=self._checkpoint.name, error=error.message)
                    return
                pause_s = _LOOK_AGAIN_S if has_moved else min(2 * pause_s, self._poll_s)
                if self._checkpoint.position < self._log_tail.position:
                    await asyncio.sleep(pause_s)
                else:
                    await self._log_tail.moved(asyncio.get_running_loop().create_future(), self._poll_s)
                    pause_s = _LOOK_AGAIN_S
        finally:
            self._checkpoint.close(RuntimeClosed(f"{self._checkpoint.name} is not followed any more"))
