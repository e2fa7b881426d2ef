"""`StrictReader`: reads the log on a node of a cluster, where another node may run newer code."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from actorium.runtime.log.event_reader import ReaderAround
from actorium.runtime.log.log_reader import LogReader, Slice
from actorium.runtime.retry import Retry, TryLater
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, Event

_RETRY = Retry(attempts=1, backoff_s=0.1, backoff_max_s=5.0)


class StrictReader(ReaderAround):
    """Passes no event that newer code wrote: whoever follows the log here waits, and parks nothing.

    is_newer: whether newer code wrote a shape of event.
    all_events: also wait at events that the reader does not want. The same follower may want them in the newer code,
        and go on from where this one stops.
    """

    def __init__(
        self, reader: LogReader, codec: EventCodec, is_newer: Callable[[str, int], bool], *, all_events: bool
    ) -> None:
        super().__init__(reader)
        self._log = reader
        self._codec = codec
        self._is_newer = is_newer
        self._all_events = all_events

    async def after(self, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        """Do what `LogReader.after` does; raise TryLater if newer code wrote the next event."""
        wanted = None if self._all_events else self._log.wanted(classes)
        return await self._log.after(position, classes, readable=partial(self._before_newer, wanted))

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
