"""`LaggingCheckpoint`: a checkpoint for repeatable work. The saved position lags behind the one in memory."""

from __future__ import annotations

import asyncio

from actorium.runtime.processors.checkpoint import Advance, Checkpoint
from actorium.store.event_store import SaveCheckpoint

_SAVE_AFTER_S = 0.5  # how much work a crash may repeat


class LaggingCheckpoint(Checkpoint):
    """Saves a plain position with a delay, so that one save covers many moves."""

    _timer: asyncio.TimerHandle | None = None
    _is_resting = False

    async def advance(self, to: Advance) -> None:
        """Commit a move and what belongs to it; if nothing does, move in memory and save soon."""
        if not to.is_bare:
            await super().advance(to)
            return
        self.move_in_memory(to.position)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SAVE_AFTER_S, self._save_position)

    def close(self, error: Exception) -> None:
        """Tell all waiters that the position no longer moves; unsaved work is repeated later."""
        super().close(error)
        self.rest()

    def rest(self) -> None:
        """Save nothing until `load`; unsaved work is repeated by the process that goes on."""
        self._is_resting = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def load(self) -> int:
        """Read the position and the dead letters; return the position, or raise CorruptRow."""
        self._is_resting = False
        return await super().load()

    def _save_position(self) -> None:
        self._timer = None
        saved = self.writer(SaveCheckpoint(self.name, self.position))
        saved.add_done_callback(self._position_saved)

    def _position_saved(self, saved: asyncio.Future[None]) -> None:
        if not saved.cancelled() and saved.exception() is not None and self._timer is None and not self._is_resting:
            self._timer = asyncio.get_running_loop().call_later(_SAVE_AFTER_S, self._save_position)
