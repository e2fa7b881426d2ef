"""`Subscription`: an ordered reader of the log, first from what is written, then as it grows, without a seam.

Invariant: the events given out are exactly those with the positions after `after`, in order, none twice: the next page
is always asked for by the last position looked at, wherever it comes from (the log or the tail in memory).
"""

from __future__ import annotations

from collections import deque

from actorium.runtime.tail import Tail
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError, StoreUnavailable, UnreadableEvent
from actorium.store.event_store import EventStore
from actorium.store.events import Event, RecordedEvent

PAGE_EVENTS = 512


class Subscription:
    """An async iterator over recorded events; it ends when its runtime stops.

    Everything up to `position` has been given out. Where upcasters made several events of one record, they have one
    position, and it is passed with the last of them.
    """

    def __init__(self, store: EventStore, codec: EventCodec, tail: Tail, *, after: int, poll_s: float) -> None:
        if after < 0:
            raise ConfigurationError(f"events(after={after}): a position, 0 for the beginning of the log")
        self._store = store
        self._codec = codec
        self._tail = tail
        self._poll_s = poll_s
        self._page: deque[RecordedEvent[Event]] = deque()
        self._open = True
        self.position = self._searched = after
        tail.follow(self)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> RecordedEvent[Event]:
        while not self._page:
            if not self._open:
                raise StopAsyncIteration
            await self._next_page()
        recorded = self._page.popleft()
        page = self._page
        if not page:
            self.position = self._searched
        elif page[0].position != recorded.position:
            self.position = recorded.position
        return recorded

    async def _next_page(self) -> None:
        tail = self._tail
        kept = tail.after(self._searched)
        if kept is not None:
            self._page.extend(kept)
            self._searched = kept[-1].position
        elif tail.position > self._searched:
            await self._read_page()
        elif not await tail.beyond(self._searched, self._poll_s):
            self.close()
        elif tail.position <= self._searched:
            await self._read_page()  # nobody said that the log has grown; it may have, after a commit that failed

    async def _read_page(self) -> None:
        try:
            records = await self._store.read_log(self._searched, PAGE_EVENTS)
        except StoreUnavailable:
            if not self._tail.is_closed:
                raise
            self.close()
            return
        for record in records:
            try:
                self._page.extend(self._codec.recorded(record))
            except UnreadableEvent:
                if self._page:
                    return  # first those before it; it is read again when its turn comes
                raise
            self._searched = record.position

    def close(self) -> None:
        """End the subscription; iterating it any further stops."""
        self._open = False
        self._tail.unfollow(self)
