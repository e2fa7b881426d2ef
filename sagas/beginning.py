"""`Beginning`: after which place of the log a follower once began, so that it is found again whatever happens since.

The place is kept apart from how far the follower has come, and one higher, so that 0 means "not yet": a crash before
the first checkpoint neither skips an event nor goes back before that place, and a reset goes back no further.
"""

from __future__ import annotations

from actorium.runtime.ledger import Ledger
from actorium.store.event_store import EventStore, SaveCheckpoint


class Beginning:
    """The first position of one ledger; `new_after` is where a follower begins that is new to the log."""

    def __init__(self, ledger: Ledger, store: EventStore, new_after: int) -> None:
        self._ledger = ledger
        self._store = store
        self._new_after = new_after
        self._after = 0

    async def prepare(self) -> None:
        """Load the ledger, and bring it to where the last run ended or the first one begins."""
        ledger = self._ledger
        await ledger.load()
        name = f"{ledger.name} begins after"
        known = await self._store.load_checkpoint(name)
        if known == 0:
            known = 1 + self._new_after
            await ledger.writer(SaveCheckpoint(name, known))
        self._after = known - 1
        ledger.move_in_memory(max(ledger.position, self._after))

    async def reset(self) -> None:
        """Go back to where it once began; what was parked or discarded comes again too."""
        letters = self._ledger.letters
        await self._ledger.save(self._after, settled=[*letters.parked(), *letters.discarded()])
        letters.forget_all()
