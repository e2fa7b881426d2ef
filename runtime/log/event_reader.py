"""`EventReader`: the interface of what a processor reads. `ReaderAround` passes all of it on to another reader."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Protocol

from actorium.runtime.log.log_reader import Delivered, Slice
from actorium.store.events import EncodedRecord, Event


class EndOfEvents(Protocol):
    """What is known of the end of what a processor reads."""

    position: int

    def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if that is not known."""

    async def moved(self, waiting: asyncio.Future[bool], within_s: float) -> bool:
        """Wait until there is more, or the future ends; return False after `within_s` seconds."""


class EventReader(Protocol):
    """What a processor reads: the log, or the events of another service."""

    @property
    def log_tail(self) -> EndOfEvents:
        """The end of it."""

    async def after(self, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        """Return the next events after a position; none at the end."""

    async def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if that is not known."""

    def decoded(
        self, records: Iterable[EncodedRecord], classes: Collection[type[Event]] | None = None
    ) -> list[Delivered]:
        """Return records of this log decoded."""


class ReaderAround:
    """A reader that passes everything on to another one, except the next events: those are its subclass's business."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

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
