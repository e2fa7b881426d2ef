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
        self._kept = 0  # what is stored; once stored, it never changes

    async def is_new(self) -> bool:
        """Return whether the follower is new to the log: it is not stored where it begins."""
        if self._kept == 0:
            self._kept = await self._store.load_checkpoint(self._name)
        return self._kept == 0

    async def save_if_new(self) -> None:
        """Save where a follower begins that is new to the log.

        Until then, a crash lets it begin later. So what it must not miss is recorded after this has returned.
        """
        if await self.is_new():
            kept = 1 + self._new_after
            await self._checkpoint.writer(SaveCheckpoint(self._name, kept))
            self._kept = kept

    async def prepare(self) -> None:
        """Load the checkpoint, and move it to where the last run ended or the first one begins."""
        checkpoint = self._checkpoint
        await checkpoint.load()
        await self.save_if_new()
        if self._after > checkpoint.position:
            await checkpoint.require_within(self._after)
        checkpoint.move_in_memory(max(checkpoint.position, self._after))

    async def reset(self) -> None:
        """Go back to where the follower first began; parked and discarded events are delivered again too."""
        letters = self._checkpoint.letters
        await self._checkpoint.save(self._after, settled=[*letters.parked(), *letters.discarded()])
        letters.forget_all()

    @property
    def _after(self) -> int:
        return self._kept - 1

    @property
    def _name(self) -> str:
        return f"{self._checkpoint.name} begins after"


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
