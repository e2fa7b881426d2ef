"""`LogReader`: reads the log in pages that its readers share.

Invariants: a read after a position returns the events that follow it, in order and without gaps; a full page never
changes, so that it may be cached and shared by any number of readers; at most `_PAGES_KEPT` full pages are cached.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from typing import Any, NamedTuple

from actorium.actors.annotations import shown
from actorium.runtime.log.log_tail import LogTail
from actorium.store.codec import EventCodec, decode_metadata
from actorium.store.errors import ConfigurationError, CorruptEvent, PositionBeyondLog, UnreadableEvent
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.events import EncodedRecord, Event, RecordedEvent
from actorium.store.names import StreamName
from actorium.store.raised import let_through
from actorium.store.shared import ClusterStore

# A page is also a commit: a larger one catches up faster, but delays the commands' commits for longer.
PAGE_EVENTS = 4_000
_PAGES_KEPT = 4
_WISHES_KEPT = 1_000
_CAUSED_PER_READ = 100


class Unread(NamedTuple):
    """An event in the log that no registered class can read."""

    record: EncodedRecord
    error: UnreadableEvent

    @property
    def stream(self) -> StreamName:
        """The name of the stream that holds the event."""
        return self.record.stream

    @property
    def position(self) -> int:
        """The place of the event in the whole log."""
        return self.record.position


def _left_out(payload: bytes) -> None:
    """Marks a shape that the reader does not want."""


def _by_the_codec(payload: bytes) -> None:
    """Marks a shape that upcasters read, or that cannot be read."""


Delivered = RecordedEvent[Event] | Unread


class Slice(NamedTuple):
    """The events found after a position, the position up to which the log was searched, and the time recorded there."""

    events: list[Delivered]
    position: int
    recorded_us: int = 0


class LogReader:
    """Reads the log for subscriptions and processors."""

    def __init__(self, store: EventStore, codec: EventCodec, log_tail: LogTail) -> None:
        self._store = store
        # Where others write, the tail does not have their events, and a reader would fetch what it does not want.
        self._node_store = store if isinstance(store, ClusterStore) else None
        self._codec = codec
        self.log_tail = log_tail
        self._pages: OrderedDict[int, list[EncodedRecord]] = OrderedDict()
        self._reading: dict[int, asyncio.Future[list[EncodedRecord]]] = {}
        self._unwanted: dict[frozenset[type[Event]], frozenset[str]] = {}
        self._with_subclasses: dict[frozenset[type[Event]], frozenset[type[Event]]] = {}

    def wanted(self, classes: Collection[type[Event]] | None) -> frozenset[type[Event]] | None:
        """Return the known classes among some classes and their subclasses; None for all."""
        if classes is None:
            return None
        asked = frozenset(classes)
        found = self._with_subclasses.get(asked)
        if found is None:
            if len(self._with_subclasses) >= _WISHES_KEPT:
                self._with_subclasses.clear()
            found = self._with_subclasses[asked] = self._codec.with_subclasses(asked)
        return found

    def require_known(self, classes: Collection[type[Event]] | None) -> None:
        """Raise ConfigurationError for a class whose events can never occur."""
        for one in classes or ():
            if not self.wanted((one,)):
                raise ConfigurationError(
                    f"types=[{shown(one)}]: no part of this runtime decides or handles this event or a subclass of "
                    "it: add the aggregate that decides it to Runtime([…])"
                )

    async def end(self) -> int:
        """Return the position of the last event; the tail may lack a commit whose outcome was unknown."""
        return (await self._store.head()).position

    async def after(
        self,
        position: int,
        classes: Collection[type[Event]] | None = None,
        *,
        readable: Callable[[list[EncodedRecord]], list[EncodedRecord]] | None = None,
    ) -> Slice:
        """Return the next events after a position, of some classes or all; no events at the end of the log.

        A class includes its subclasses. An event that cannot become one of the classes is not decoded.

        readable: returns the first of some records, as far as they may be read.
        """
        classes = self.wanted(classes)
        kept = self.log_tail.after(position)
        if kept is not None:
            events: list[Delivered] = (
                [*kept] if classes is None else [one for one in kept if type(one.event) in classes]
            )
            return Slice(events, kept[-1].position, kept[-1].recorded_us)
        try:
            records = await self._records(position, classes)
        except CorruptEvent:
            return await self._around_damage(position, classes)
        if not records:
            return Slice([], position)
        if readable is not None:
            records = readable(records)
        return Slice(self.decoded(records, classes), records[-1].position, records[-1].recorded_us)

    async def _around_damage(self, position: int, classes: Collection[type[Event]] | None) -> Slice:
        """Return the readable events before a damaged one, or the damaged one alone: only its stream stops there."""
        limit = PAGE_EVENTS
        while True:
            try:
                records = await self._store.read_log(position, limit)
                return Slice(self.decoded(records, classes), records[-1].position, records[-1].recorded_us)
            except CorruptEvent as error:
                if limit == 1:
                    place = (error.stream, error.version, position + 1)
                    record = EncodedRecord(*place, 0, error.event_type, 0, b"", b"")
                    return Slice([Unread(record, error)], position + 1)
                limit //= 2

    async def caused_by(self, event_id: str, position: int) -> AsyncGenerator[RecordedEvent[Event], None]:
        """Yield the events after a position whose metadata names an event as their cause, in order."""
        while records := await self._store.read_linked("causation_id", event_id, position, _CAUSED_PER_READ):
            for record in records:
                for recorded in self._codec.recorded(record):
                    yield recorded
            position = records[-1].position

    async def require_within(self, position: int) -> None:
        """Raise PositionBeyondLog for a position beyond the end of the log."""
        if position <= self.log_tail.position:
            return
        head = (await self._store.head()).position  # a commit with unknown outcome may have moved it
        if position > head:
            raise PositionBeyondLog(
                f"position {position} is beyond the end of the log, {head}: it comes from a longer log, for example "
                "from before a backup was restored. Undo the effects of the missing events, then continue "
                f"after {head}, or start over after 0",
                position,
                head,
            )

    async def stream_at(self, position: int) -> StreamName:
        """Return the stream of the event at a position of the log; raise CorruptEvent if it is damaged."""
        (record,) = await self._store.read_log(position - 1, 1)
        return record.stream

    async def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if there is none or it is damaged."""
        try:
            records = await self._store.read_log(position, 1)
        except CorruptEvent:
            return 0
        return records[0].recorded_us if records else 0

    async def of_stream(
        self, stream: StreamName, version: int, position: int, classes: Collection[type[Event]] | None = None
    ) -> tuple[Slice, int]:
        """Return the next events of one stream after a version and a position, and the version searched up to."""
        classes = self.wanted(classes)
        kept = self.log_tail.after(position)
        if kept is not None:
            of_it = [one for one in kept if one.stream_id == stream.id and one.stream_type == stream.type]
            wanted = [one for one in of_it if classes is None or type(one.event) in classes]
            return Slice([*wanted], kept[-1].position), of_it[-1].version if of_it else version
        head = self.log_tail.position
        (page,) = await self._store.read_streams([StreamRead(stream, version, PAGE_EVENTS)])
        records = page.events
        if not records:
            return Slice([], max(head, position)), version
        last = records[-1]
        searched = max(head, last.position) if page.is_last else last.position
        fresh = [record for record in records if record.position > position]
        return Slice(self.decoded(fresh, classes), max(searched, position)), last.version

    def decoded(
        self, records: Iterable[EncodedRecord], classes: Collection[type[Event]] | None = None
    ) -> list[Delivered]:
        """Return the decoded records of some classes or all; an unreadable record carries the reason."""
        classes = self.wanted(classes)
        events: list[Delivered] = []
        add = events.append
        ways: dict[tuple[str, int], Callable[[bytes], Any]] = {}
        for record in records:
            shape = (record.type, record.schema_version)
            way = ways.get(shape)
            if way is None:
                way = ways[shape] = self._way_of(record, classes)
            if way is _left_out:
                continue
            if way is not _by_the_codec:
                stream = record.stream
                try:
                    add(
                        RecordedEvent(
                            stream.type,
                            stream.id,
                            record.version,
                            record.position,
                            way(record.payload),
                            decode_metadata(record.metadata),
                            record.recorded_us,
                        )
                    )
                    continue
                except BaseException as raised:
                    let_through(raised)  # the codec has a better message
            try:
                made = self._codec.recorded(record)
            except UnreadableEvent as error:
                add(Unread(record, error))
                continue
            events.extend(made if classes is None else [one for one in made if type(one.event) in classes])
        return events

    def _way_of(self, record: EncodedRecord, classes: Collection[type[Event]] | None) -> Callable[[bytes], Any]:
        """Return how to read a shape of record: its payload's decoder, or one of the two marks."""
        if classes is not None and not self._codec.may_become(record, classes):
            return _left_out
        reader = self._codec.reader(record.type, record.schema_version)
        return reader[1] if reader is not None else _by_the_codec

    async def _records(self, position: int, classes: frozenset[type[Event]] | None) -> list[EncodedRecord]:
        """Return the records after this position, to the end of its page; those of other classes may be left out."""
        number, skip = divmod(position, PAGE_EVENTS)
        page = self._pages.get(number)
        if page is not None:
            self._pages.move_to_end(number)
            return page[skip:] if skip else page
        if skip:  # a reader inside a page reads to its end, then shares pages
            left_out = self._left_out(classes)
            if self._node_store is None or not left_out:
                return await self._store.read_log(position, PAGE_EVENTS - skip)
            return await self._node_store.read_wanted(position, PAGE_EVENTS - skip, left_out)
        return await self._read(number)

    def _left_out(self, classes: frozenset[type[Event]] | None) -> frozenset[str]:
        """Return the shapes that a reader of some classes never wants."""
        if classes is None:
            return frozenset()
        found = self._unwanted.get(classes)
        if found is None:
            if len(self._unwanted) >= _WISHES_KEPT:
                self._unwanted.clear()
            found = self._unwanted[classes] = self._codec.never(classes)
        return found

    async def _read(self, number: int) -> list[EncodedRecord]:
        reading = self._reading.get(number)
        if reading is None:
            reading = asyncio.ensure_future(self._store.read_log(number * PAGE_EVENTS, PAGE_EVENTS))
            self._reading[number] = reading
            reading.add_done_callback(lambda ended: self._is_read(number, ended))
        page = await asyncio.shield(reading)
        if len(page) == PAGE_EVENTS:
            self._pages[number] = page
            while len(self._pages) > _PAGES_KEPT:
                self._pages.popitem(last=False)
        return page

    def _is_read(self, number: int, reading: asyncio.Future[list[EncodedRecord]]) -> None:
        self._reading.pop(number, None)
        if not reading.cancelled():
            reading.exception()  # all readers that waited for it may have been cancelled
