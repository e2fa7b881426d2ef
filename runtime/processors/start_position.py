"""`StartPosition`: the position after which a follower of the log first began, kept for later starts and resets.

It is stored separately from the follower's progress, plus one, so that 0 means "not begun". A crash before the first
checkpoint then neither skips an event nor goes back before that position, and neither does a reset.
"""

from __future__ import annotations

from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.store.event_store import EventStore, SaveCheckpoint


class StartPosition:
    """The start position of one checkpoint; `new_after` is where a follower starts that is new to the log."""

    def __init__(self, checkpoint: Checkpoint, store: EventStore, new_after: int) -> None:
        self._checkpoint = checkpoint
        self._store = store
        self._new_after = new_after
        self._after = 0

    async def prepare(self) -> bool:
        """Load the checkpoint, and move it to where the last run ended or the first one begins; return which it is."""
        checkpoint = self._checkpoint
        await checkpoint.load()
        name = f"{checkpoint.name} begins after"
        known = await self._store.load_checkpoint(name)
        is_new = known == 0
        if is_new:
            known = 1 + self._new_after
            await checkpoint.writer(SaveCheckpoint(name, known))
        self._after = known - 1
        if self._after > checkpoint.position:
            await checkpoint.require_within(self._after)
        checkpoint.move_in_memory(max(checkpoint.position, self._after))
        return is_new

    async def reset(self) -> None:
        """Go back to where the follower first began; parked and discarded events are delivered again too."""
        letters = self._checkpoint.letters
        await self._checkpoint.save(self._after, settled=[*letters.parked(), *letters.discarded()])
        letters.forget_all()


async def derives_ids_after(checkpoint: Checkpoint, store: EventStore, begun_before: int) -> int:
    """Return the position after which a follower's commands have derived ids; it is saved at the first start.

    Commands for earlier events may be in the log under ids of the former kind, and must not be sent under new ones.

    begun_before: the end of the log, for a follower that began before there were derived ids; 0 for a new one.
    """
    name = f"{checkpoint.name} derives ids after"
    known = await store.load_checkpoint(name)
    if known == 0:
        known = 1 + begun_before
        await checkpoint.writer(SaveCheckpoint(name, known))
    return known - 1
