"""`InboxReader`: reads another service's stream as a log, whose positions are the numbers of its events.

Invariants: a read after a number returns the events that follow it, in order and without a gap, or raises DamagedLog;
a message that the stream has grown is a hint, and a poll stands behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

import msgspec

from actorium.runtime.bus.bus import Bus, BusMessage, BusSubscription, Entry
from actorium.runtime.log.log_reader import Delivered, Slice, Unread
from actorium.runtime.services.events.batches import Batch, decode_batch, record_of
from actorium.runtime.services.subjects import events_of, growth_of
from actorium.runtime.waits import end, ended
from actorium.store.codec import EventCodec
from actorium.store.errors import DamagedLog, UnreadableEvent
from actorium.store.events import EncodedRecord, Event
from actorium.store.raised import text_of

_ENTRIES_PER_PAGE = 64  # and as many bytes as the bus gives at once


class InboxTail:
    """What is known of the end of a stream, and who waits for it to grow."""

    def __init__(self) -> None:
        self.position = 0
        self._waiting: dict[asyncio.Future[bool], None] = {}

    def grew_to(self, number: int) -> None:
        """Note that the stream holds an event with this number."""
        if number > self.position:
            self.position = number
            waiting, self._waiting = self._waiting, {}
            for one in waiting:
                end(one)

    def recorded_us_after(self, position: int) -> int:
        """Return 0: the times of events that were not read are not known."""
        return 0

    async def moved(self, waiting: asyncio.Future[bool], within_s: float) -> bool:
        """Wait until the stream grows, or the future ends; return False after `within_s` seconds."""
        self._waiting[waiting] = None
        try:
            return await ended(waiting, within_s)
        finally:
            self._waiting.pop(waiting, None)


class InboxReader:
    """Reads the events of one service."""

    def __init__(self, service: str, bus: Bus, codec: EventCodec) -> None:
        self._service = service
        self._stream = events_of(service)
        self._bus = bus
        self._codec = codec
        self.log_tail = InboxTail()
        self._missed = 0  # reads in a row that found nothing of what a hint promised
        self._at = (0, 0)  # a sequence number, and the number of the last event up to it

    async def open(self) -> BusSubscription:
        """Listen for the growth of the stream."""
        return await self._bus.subscribe(growth_of(self._service), self._grew)

    def _grew(self, message: BusMessage) -> None:
        if message.data.isdigit():
            self.log_tail.grew_to(int(message.data))

    async def last_number(self) -> int:
        """Return the number of the last event in the stream; 0 if it never held one."""
        ends = await self._bus.ends(self._stream)
        entries = await self._bus.read(self._stream, ends.last - 1, 1) if ends.last else []
        if not entries:
            return 0
        last = self._batch(entries[-1]).last
        self.log_tail.grew_to(last)
        return last

    async def recorded_us_after(self, position: int) -> int:
        """Return 0: see `InboxTail`."""
        return 0

    async def after(self, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        """Return the next events after a number, of some classes or all; none at the end of the stream."""
        sequence, number = self._at
        if number != position:
            sequence = await self._sequence_of(position)
        entries = await self._bus.read(self._stream, sequence, _ENTRIES_PER_PAGE)
        events: list[Delivered] = []
        reached, recorded_us = position, 0
        for entry in entries:
            batch = self._batch(entry)
            if batch.first > reached + 1:
                raise DamagedLog(
                    f"events {reached + 1} to {batch.first - 1} of {self._service} are no longer in its stream: it "
                    "removes entries sooner than they are taken in. Restore them there, or begin anew with "
                    'RemoteService(…, start="now") under a new log'
                )
            events += self._events(batch, reached, classes)
            if batch.last > reached:
                reached, recorded_us = batch.last, batch.events[-1].recordedus
            sequence = entry.sequence
        self._at = (sequence, reached)
        self.log_tail.grew_to(reached)
        self._missed = 0 if entries else self._missed + 1
        if self._missed > 1:  # the poll finds what comes late
            self.log_tail.position = reached
        return Slice(events, reached, recorded_us)

    def decoded(
        self, records: Iterable[EncodedRecord], classes: Collection[type[Event]] | None = None
    ) -> list[Delivered]:
        """Return records decoded."""
        found: list[Delivered] = []
        for record in records:
            if classes is None or self._codec.may_become(record, classes):
                try:
                    found.extend(self._codec.recorded(record))
                except UnreadableEvent as error:
                    found.append(Unread(record, error))
        return found

    def _batch(self, entry: Entry) -> Batch:
        try:
            return decode_batch(entry.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedLog(
                f"entry {entry.sequence} of {self._stream} is not a batch of events: {text_of(error)}"
            ) from error

    def _events(self, batch: Batch, after: int, classes: Collection[type[Event]] | None) -> list[Delivered]:
        numbered = enumerate(batch.events, batch.first)
        return self.decoded((record_of(one, self._service, n) for n, one in numbered if n > after), classes)

    async def _sequence_of(self, position: int) -> int:
        """Return the sequence number of the last entry that holds nothing after a number, by bisection."""
        ends = await self._bus.ends(self._stream)
        low, high = max(0, ends.first - 1), ends.last
        while low < high:
            middle = (low + high + 1) // 2
            entries = await self._bus.read(self._stream, middle - 1, 1)
            if entries and self._batch(entries[0]).last <= position:
                low = middle
            else:
                high = middle - 1
        return low
