"""`SnapshotWriter`: the way of snapshots into the log, beside the commands and behind them.

Invariants: at most `max_bytes` of state wait to be written, one snapshot of any size excepted; what does not fit is
left out, and its stream's next snapshot takes its place. Nobody waits for a snapshot, and nobody is told that one
failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorium.store.event_store import Snapshot

Save = Callable[[Snapshot], asyncio.Future[None]]


class SnapshotWriter:
    """Gives snapshots of committed states to the writer of batches, as many as there is room for."""

    def __init__(self, save: Save, *, max_bytes: int) -> None:
        self._save = save
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self.saved = self.left_out = 0

    def save(self, snapshot: Snapshot) -> None:
        """Have a snapshot written with one of the next batches."""
        size_bytes = len(snapshot.state)
        if self._waiting_bytes and self._waiting_bytes + size_bytes > self._max_bytes:
            self.left_out += 1
            return
        self._waiting_bytes += size_bytes

        def done(future: asyncio.Future[None]) -> None:
            self._waiting_bytes -= size_bytes
            if not future.cancelled() and future.exception() is None:
                self.saved += 1

        self._save(snapshot).add_done_callback(done)
