"""`AgendaCheckpoint`: how far the agenda, or one of its shares, has read the log.

A runtime that has the log to itself keeps one agenda; on nodes, each share has its own. Both write the same tables, so
each finds there what the other has passed: a share is at its own position or that of the agenda, whichever is later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.sagas.agenda.agenda_tables import AgendaTables
from actorium.sagas.model.due_times import LATEST_US
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.shared import ClusterStore
from actorium.store.tables.own_rows import ReadDue, RemoveAll, RemoveShare, TableChange
from actorium.store.tables.shares import SHARES

AGENDA = "sagas agenda 2"
"""The name under which the progress of an agenda for all sagas is saved."""

_CLEAR = (RemoveAll("agenda"), *AgendaTables.clearing)

Save = Callable[[SaveCheckpoint], "asyncio.Future[None]"]


def share_name(share: int) -> str:
    """Return the name under which the progress of a share is saved."""
    return f"{AGENDA} share {share:02}"


class AgendaCheckpoint(Checkpoint):
    """A checkpoint whose saved position lags behind the one in memory.

    saving: returns the function that writes the checkpoints of a name.
    share: the share whose checkpoint it is; None for all sagas.
    """

    saved_position = -1

    def __init__(self, store: EventStore, saving: Callable[[str], Save], share: int | None) -> None:
        name = AGENDA if share is None else share_name(share)
        super().__init__(name, store, saving(name))
        self.share = share
        self.passed: list[int] = []
        """For each share, up to where its events are in the tables; empty if the log was never on nodes."""

    async def load(self) -> int:
        """Read and return the position up to which nothing is missing in the tables; raise CorruptRow."""
        saved = await (super().load() if self.share is None else self.load_number())
        if self.share is not None:
            position = max(saved, await self._store.load_checkpoint(AGENDA))
        elif isinstance(self._store, ClusterStore):
            shares = [await self._store.load_checkpoint(share_name(share)) for share in range(SHARES)]
            self.passed = [max(saved, one) for one in shares] if any(shares) else []
            position = min(self.passed, default=saved)
        else:
            return saved
        if position:
            await self.require_within(max([position, *self.passed]))
        self.move_in_memory(position)
        return position

    async def begin(self) -> None:
        """Empty the tables before the log is read from its beginning, unless they are empty."""
        if self.share is None or await self._store.read_rows(ReadDue(LATEST_US, 1, None, self.share)):
            await self.clear()

    async def clear(self) -> None:
        """Empty the tables, to read the log from its beginning."""
        if self.share is None:
            for share, passed in enumerate(self.passed):
                if passed:
                    await self.writer(SaveCheckpoint(share_name(share), 0))
            self.passed = []
            await self.save(0, changes=_CLEAR)
        else:
            if await self._store.load_checkpoint(AGENDA):
                await self.writer(SaveCheckpoint(AGENDA, 0))
            await self.save(0, changes=(RemoveShare(self.share),))
        self.saved_position = 0

    async def save_behind(self, position: int, changes: Sequence[TableChange]) -> None:
        """Save a position that is already passed, with the changes up to it."""
        await self.writer(SaveCheckpoint(self.name, position, changes=changes))
        self.saved_position = position
