"""`SnapshotWriter`: writes snapshots to the log with a lower priority than commands.

Invariants: at most `max_bytes` of state wait to be written, except that a single snapshot may have any size. A
snapshot that does not fit is skipped, and the stream's next snapshot replaces it. Nobody waits for a snapshot, and a
failed one is not reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorium.store.event_store import Snapshot

Save = Callable[[Snapshot], asyncio.Future[None]]


class SnapshotWriter:
    """Passes snapshots of committed states to the batch writer, as many as fit."""

    def __init__(self, save: Save, *, max_bytes: int) -> None:
        self._save = save
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self.saved = self.skipped = 0

    def save(self, snapshot: Snapshot) -> None:
        """Have a snapshot written with one of the next batches."""
        size_bytes = len(snapshot.state)
        if self._waiting_bytes and self._waiting_bytes + size_bytes > self._max_bytes:
            self.skipped += 1
            return
        self._waiting_bytes += size_bytes

        def done(future: asyncio.Future[None]) -> None:
            self._waiting_bytes -= size_bytes
            if not future.cancelled() and future.exception() is None:
                self.saved += 1

        self._save(snapshot).add_done_callback(done)
