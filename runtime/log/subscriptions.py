"""`Subscription`: reads the log in order, first the stored events, then new ones, without a gap.

Invariant: it delivers exactly the wanted events with positions after `after`, in order, each once. The next page is
always requested by the last position searched, whether it comes from the log or the tail in memory. It holds one
page; a slow subscriber reads the log later and delays nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, cast

from actorium.runtime.log.log_reader import LogReader, Slice, Unread
from actorium.store.errors import ActoriumError, StoreUnavailable, UnreadableEvent
from actorium.store.events import E_co, RecordedEvent
from actorium.store.names import StreamName


class Subscription(Generic[E_co]):
    """An async iterator over recorded events; it ends when the runtime stops.

    The first iteration raises PositionBeyondLog if `after` is beyond the end of the log. At an event that cannot be
    read, each iteration raises UnreadableEvent, or NewerCodeNeeded if a node with newer code wrote it.

    needed: returns the error to raise in place of an UnreadableEvent; None to raise that.
    """

    def __init__(
        self,
        log_reader: LogReader,
        *,
        after: int,
        poll_s: float,
        stream: StreamName | None = None,
        classes: Collection[type[E_co]] | None = None,
        needed: Callable[[UnreadableEvent], ActoriumError | None] = lambda error: None,
    ) -> None:
        self._log_reader = log_reader
        self._poll_s = poll_s
        self._stream = stream
        self._needed = needed
        self._classes = None if classes is None else frozenset(classes)
        self._page: deque[RecordedEvent[E_co] | Unread] = deque()
        self._open = True
        self._is_within = False  # whether `after` is known to lie within the log
        self._version = 0
        self._searched = after
        log_reader.log_tail.follow(self)

    @property
    def position(self) -> int:
        """The position up to which all wanted events have been delivered.

        If upcasters split one record into several events, they share one position; it is reached with the last.
        """
        if not self._page:
            return self._searched
        following = self._page[0]
        return (following.record if isinstance(following, Unread) else following).position - 1

    def __aiter__(self) -> Subscription[E_co]:
        return self

    async def __anext__(self) -> RecordedEvent[E_co]:
        page = self._page
        while not page:
            if not self._open:
                raise StopAsyncIteration
            await self._next_page()
        delivered = page.popleft()
        if isinstance(delivered, Unread):
            page.appendleft(delivered)  # this subscription delivers nothing after it
            needed = self._needed(delivered.error)
            if needed is not None:
                raise needed from delivered.error
            raise delivered.error
        return delivered

    async def _next_page(self) -> None:
        log_tail = self._log_reader.log_tail
        try:
            if not self._is_within:
                await self._log_reader.require_within(self._searched)
                self._is_within = True
            # At the end of the log, read again after each wait even without a notification: a commit that failed
            # after it had written is in the log, but was not announced.
            if log_tail.position > self._searched or await log_tail.beyond(self._searched, self._poll_s):
                found = await self._find()
                self._page.extend(cast("list[RecordedEvent[E_co] | Unread]", found.events))  # only these were requested
                self._searched = found.position
                return
        except StoreUnavailable:
            if not log_tail.is_closed:
                raise
        self.close()

    async def _find(self) -> Slice:
        if self._stream is None:
            return await self._log_reader.after(self._searched, self._classes)
        found, self._version = await self._log_reader.of_stream(
            self._stream, self._version, self._searched, self._classes
        )
        return found

    def close(self) -> None:
        """End the subscription; further iteration stops."""
        self._open = False
        self._log_reader.log_tail.unfollow(self)
