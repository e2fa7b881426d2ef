"""`ShareFeeds`: reads the log once for all shares that a node carries out, and wakes those that it concerns.

Invariant: `_waiting` of a feed holds, in order, the events of its share after `_given` and up to the feeds' position,
and perhaps some that its reader has passed. Whatever is before `_given` is read from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from actorium.runtime.log.event_reader import EventReader
from actorium.runtime.log.log_reader import Delivered, Slice
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.waits import end, ended
from actorium.store.events import EncodedRecord, Event
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through
from actorium.store.tables.shares import share_of

log = logger("actorium.sagas")

_WAITING_MAX = 4_096  # events of a share that is behind; if there are more, it reads them from the log
_PASSED_ON_S = 5.0  # how often a share without events learns how far the log was read, so that its checkpoint moves
_RETRY_S = 0.2


class ShareFeeds:
    """The feeds of the shares that this node carries out; `position` is how far the log was read for them.

    classes: the events that the agenda wants.
    """

    def __init__(self, reader: EventReader, log_tail: LogTail, classes: frozenset[type[Event]], poll_s: float) -> None:
        self.reader = reader
        self._log_tail = log_tail
        self.classes = classes
        self.position = 0
        self._poll_s = poll_s
        self._feeds: dict[int, ShareFeed] = {}
        self._passed: dict[int, asyncio.Future[Slice]] = {}  # what is being read, by the position before it
        self._wake: asyncio.Future[bool] | None = None
        self._passed_on_at = 0.0

    def begin(self, share: int) -> ShareFeed:
        """Return the feed of a share, from now on."""
        if not self._feeds:
            self.position = self._log_tail.position
            self._log_tail.follow(self)
        feed = self._feeds[share] = ShareFeed(self, share, self.position)
        end(self._wake)
        return feed

    def end(self, share: int) -> None:
        """Remove a feed."""
        del self._feeds[share]
        if not self._feeds:
            self._log_tail.unfollow(self)

    async def run(self) -> None:
        """Read the log for the feeds until cancelled."""
        loop = asyncio.get_running_loop()
        log_tail = self._log_tail
        is_told = False
        while True:
            if not self._feeds:
                self._wake = loop.create_future()
                await self._wake
                continue
            try:
                if log_tail.position > self.position:
                    self._distribute(await self.reader.after(self.position, self.classes))
                is_told = False
            except BaseException as raised:
                let_through(raised)
                if not is_told:
                    log.warning("shares_wait", error=error_text(raised))
                is_told = True
                await asyncio.sleep(_RETRY_S)
                continue
            if loop.time() - self._passed_on_at >= _PASSED_ON_S:
                self._passed_on_at = loop.time()
                for feed in self._feeds.values():
                    feed.log_tail.pass_on()
            if log_tail.position <= self.position:
                self._wake = loop.create_future()
                await log_tail.moved(self._wake, min(self._poll_s, _PASSED_ON_S))

    async def passed(self, position: int) -> Slice:
        """Return what follows a position; shares that begin together often read the same."""
        reading = self._passed.get(position)
        if reading is None:
            reading = asyncio.ensure_future(self.reader.after(position, self.classes))
            self._passed[position] = reading
            reading.add_done_callback(lambda ended: self._is_read(position, ended))
        return await asyncio.shield(reading)

    def _is_read(self, position: int, reading: asyncio.Future[Slice]) -> None:
        del self._passed[position]
        if not reading.cancelled():
            reading.exception()  # all readers that waited for it may have been cancelled

    def _distribute(self, found: Slice) -> None:
        self.position = max(self.position, found.position)
        feeds = self._feeds
        for delivered in found.events:
            stream = delivered.stream
            feed = feeds.get(share_of(stream.type, stream.id))
            if feed is not None:
                feed.add(delivered)
        for feed in feeds.values():
            if feed.is_behind:
                feed.log_tail.pass_on()


class ShareFeed:
    """What the processor of one share reads.

    given: the position after which the feeds bring the share's events.
    """

    def __init__(self, feeds: ShareFeeds, share: int, given: int) -> None:
        self.log_tail = ShareEnd(feeds, given)
        self._feeds = feeds
        self._share = share
        self._given = given
        self._waiting: list[Delivered] = []

    @property
    def is_behind(self) -> bool:
        """Whether there are events for it to read."""
        return bool(self._waiting)

    def add(self, delivered: Delivered) -> None:
        """Add an event of the share."""
        self._waiting.append(delivered)
        if len(self._waiting) > _WAITING_MAX:
            self._waiting.clear()
            self._given = self._feeds.position

    async def after(self, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        """Return the share's events after a position."""
        if position < self._given:
            found = await self._feeds.passed(position)
            until = min(found.position, self._given)
            return Slice([one for one in found.events if one.position <= until and self._is_own(one)], until)
        events, self._waiting = self._waiting, []
        self._given = max(self._given, self._feeds.position)
        return Slice([one for one in events if one.position > position], max(position, self._given))

    def _is_own(self, delivered: Delivered) -> bool:
        stream = delivered.stream
        return share_of(stream.type, stream.id) == self._share

    async def recorded_us_after(self, position: int) -> int:
        """Return 0: it is not worth a read, because the share's own events are few among all."""
        return 0

    def decoded(
        self, records: Iterable[EncodedRecord], classes: Collection[type[Event]] | None = None
    ) -> list[Delivered]:
        """Return the decoded records of some classes or all; an unreadable record carries the reason."""
        return self._feeds.reader.decoded(records, classes)


class ShareEnd:
    """How far a share should read now: `position` moves when there are events for it, and every few seconds."""

    def __init__(self, feeds: ShareFeeds, position: int) -> None:
        self.position = position
        self._feeds = feeds
        self._reader: asyncio.Future[bool] | None = None

    def pass_on(self) -> None:
        """Let the share read up to where the log was read."""
        if self._feeds.position > self.position:
            self.position = self._feeds.position
            end(self._reader)

    async def moved(self, waiting: asyncio.Future[bool], within_s: float) -> bool:
        """Wait until there is more for the share, or the future ends; return False after `within_s` seconds."""
        self._reader = waiting
        return await ended(waiting, within_s)

    def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if that is longer ago than is remembered."""
        return self._feeds.reader.log_tail.recorded_us_after(position)
