"""`UnpassedReader`: reads the log for an agenda of all sagas, where shares of it were carried out by nodes before."""

from __future__ import annotations

from collections.abc import Collection

from actorium.runtime.log.event_reader import EventReader, ReaderAround
from actorium.runtime.log.log_reader import Slice
from actorium.sagas.agenda.agenda_checkpoint import AgendaCheckpoint
from actorium.store.events import Event
from actorium.store.tables.shares import share_of


class UnpassedReader(ReaderAround):
    """Reads the events of all shares, except those that a share had passed when the log was on nodes."""

    def __init__(self, reader: EventReader, checkpoint: AgendaCheckpoint) -> None:
        super().__init__(reader)
        self._checkpoint = checkpoint

    async def after(self, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        """Return the next events after a position that are not in the tables."""
        found = await self._reader.after(position, classes)
        passed = self._checkpoint.passed
        if not passed or position >= max(passed):
            return found
        streams = [one.stream for one in found.events]
        shares = [share_of(stream.type, stream.id) for stream in streams]
        left = [one for one, share in zip(found.events, shares, strict=True) if one.position > passed[share]]
        return found._replace(events=left)
