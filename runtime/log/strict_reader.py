"""`StrictReader`: reads the log on a node of a cluster, where another node may run newer code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial

from actorium.runtime.log.log_reader import Delivered, LogReader, Slice
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.retry import Retry, TryLater
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, Event

_RETRY = Retry(attempts=1, backoff_s=0.1, backoff_max_s=5.0)


class StrictReader:
    """Passes no event that newer code wrote: whoever follows the log here waits, and parks nothing.

    is_newer: whether newer code wrote a shape of event.
    all_events: also wait at events that the reader does not want. The same follower may want them in the newer code,
        and go on from where this one stops.
    """

    def __init__(
        self, reader: LogReader, codec: EventCodec, is_newer: Callable[[str, int], bool], *, all_events: bool
    ) -> None:
        self._reader = reader
        self._codec = codec
        self._is_newer = is_newer
        self._all_events = all_events

    @property
    def log_tail(self) -> LogTail:
        """The end of the log."""
        return self._reader.log_tail

    async def after(self, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        """Do what `LogReader.after` does; raise TryLater if newer code wrote the next event."""
        wanted = None if self._all_events else self._reader.wanted(classes)
        return await self._reader.after(position, classes, readable=partial(self._before_newer, wanted))

    async def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if there is none or it is damaged."""
        return await self._reader.recorded_us_after(position)

    def decoded(
        self, records: Iterable[EncodedRecord], classes: Collection[type[Event]] | None = None
    ) -> list[Delivered]:
        """Return the decoded records of some classes or all; an unreadable record carries the reason."""
        return self._reader.decoded(records, classes)

    def _before_newer(
        self, wanted: Collection[type[Event]] | None, records: list[EncodedRecord]
    ) -> list[EncodedRecord]:
        passed: set[tuple[str, int]] = set()
        for index, record in enumerate(records):
            shape = (record.type, record.schema_version)
            if shape in passed:
                continue
            if (wanted is None or self._codec.may_become(record, wanted)) and self._is_newer(*shape):
                if index:
                    return records[:index]
                raise TryLater(f"{record.type} at position {record.position} waits for a node with newer code", _RETRY)
            passed.add(shape)
        return records
