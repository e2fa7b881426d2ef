"""`UnpassedReader`: reads the log for an agenda of all sagas, where shares of it were carried out by nodes before."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from actorium.runtime.log.log_reader import Delivered, Slice
from actorium.runtime.processors.event_reader import EndOfEvents, EventReader
from actorium.sagas.agenda.agenda_checkpoint import AgendaCheckpoint
from actorium.store.events import EncodedRecord, Event
from actorium.store.tables.shares import share_of


class UnpassedReader:
    """Reads the events of all shares, except those that a share had passed when the log was on nodes."""

    def __init__(self, reader: EventReader, checkpoint: AgendaCheckpoint) -> None:
        self._reader = reader
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

    @property
    def log_tail(self) -> EndOfEvents:
        """The end of the log."""
        return self._reader.log_tail

    async def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if there is none or it is damaged."""
        return await self._reader.recorded_us_after(position)

    def decoded(
        self, records: Iterable[EncodedRecord], classes: Collection[type[Event]] | None = None
    ) -> list[Delivered]:
        """Return the decoded records of some classes or all; an unreadable record carries the reason."""
        return self._reader.decoded(records, classes)
