"""`LaggingCheckpoint`: a checkpoint for repeatable work. The saved position lags behind the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.store.event_store import DeadLetter, SaveCheckpoint, Statement
from actorium.store.tables.own_rows import TableChange

_SAVE_AFTER_S = 0.5  # how much work a crash may repeat


class LaggingCheckpoint(Checkpoint):
    """Saves a plain position with a delay, so that one save covers many moves."""

    _timer: asyncio.TimerHandle | None = None

    async def save(
        self,
        position: int,
        statements: Sequence[Statement] = (),
        *,
        changes: Sequence[TableChange] = (),
        parked: Sequence[DeadLetter] = (),
        settled: Sequence[DeadLetter] = (),
    ) -> None:
        """Commit a position with its statements; if there are none, move in memory and save soon."""
        if statements or changes or parked or settled:
            await super().save(position, statements, changes=changes, parked=parked, settled=settled)
            return
        self.move_in_memory(position)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SAVE_AFTER_S, self._save_position)

    def close(self, error: Exception) -> None:
        """Tell all waiters that the position no longer moves; unsaved work is repeated later."""
        super().close(error)
        if self._timer is not None:
            self._timer.cancel()

    def _save_position(self) -> None:
        self._timer = None
        saved = self.writer(SaveCheckpoint(self.name, self.position))
        saved.add_done_callback(self._position_saved)

    def _position_saved(self, saved: asyncio.Future[None]) -> None:
        if not saved.cancelled() and saved.exception() is not None and self._timer is None and not self.is_closed:
            self._timer = asyncio.get_running_loop().call_later(_SAVE_AFTER_S, self._save_position)
