"""`LogTail`: the newest events of the log in memory, for subscribers that have almost caught up.

Invariants: `position` is the last position known to be committed, and only increases; the kept batches are contiguous
and end at `position`; older events are read from the log. A notification is a hint: each waiter also polls every
`poll_s` seconds. Batches that all followers have passed are dropped early, because recently used memory is the fastest
to reuse.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Protocol, cast
from weakref import ref

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.pending import PendingAppend
from actorium.runtime.waits import end
from actorium.store.event_store import Append, Appended, Head
from actorium.store.events import Event, Metadata, RecordedEvent
from actorium.store.shapes.storable import Decode
from actorium.store.writers.prompt_future import PromptFuture

_TIMES_KEPT = 1_024
_LOOK_AT_EVENTS = 256  # for fewer, asking the followers for their positions is not worth it
_size_bytes: Callable[[PendingAppend[Actor]], int] = attrgetter("size_bytes")


class Follower(Protocol):
    """A reader of the log that follows its end."""

    @property
    def position(self) -> int:
        """The position up to which it needs no more events."""
        ...


class _Batch:
    """One commit, kept as it was appended; the recorded events are made on first use.

    `_own` holds the indexes of mutable events, with functions that make a copy. Each reader gets its own copies, so
    that no handler sees another one's changes.
    """

    __slots__ = ("_made", "_outcome", "_own", "_requests", "first", "last", "size_bytes")

    def __init__(self, first: int, last: int, requests: Sequence[PendingAppend[Actor]], outcome: Appended) -> None:
        self.first = first
        self.last = last
        self.size_bytes = sum(map(_size_bytes, requests))
        self._requests = requests
        self._outcome = outcome
        self._made: list[RecordedEvent[Event]] | None = None
        self._own: list[tuple[int, Decode, bytes]] = []

    def events(self, skip: int = 0) -> list[RecordedEvent[Event]]:
        """Return all but the first `skip` events; mutable ones are copies."""
        made = self._made
        if made is None:
            made = self._made = self._make()
            self._requests = ()
        events = made[skip:]
        for index, decode, payload in self._own:
            if index >= skip:
                events[index - skip] = msgspec.structs.replace(made[index], event=decode(payload))
        return events

    def _make(self) -> list[RecordedEvent[Event]]:
        recorded_us = self._outcome.recorded_us
        made: list[RecordedEvent[Event]] = []
        add = made.append
        for request, position in zip(self._requests, self._outcome.outcomes, strict=True):
            if type(position) is not int:
                continue
            stream, version = request.stream, request.expected_version
            stream_type, stream_id = stream.type, stream.id
            metadata = request.metadata
            if metadata is None:
                by = request.envelope  # `Envelope.metadata`, inlined: hot path
                metadata = Metadata(by.command_id, by.correlation_id, by.causation_id, by.headers)
            if request.actor.kind.copied:
                self._note_mutable(request, len(made))
            for event in request.decided:
                version += 1
                add(RecordedEvent(stream_type, stream_id, version, position, event, metadata, recorded_us))
                position += 1
        return made

    def _note_mutable(self, request: PendingAppend[Actor], first: int) -> None:
        copied = request.actor.kind.copied
        for index, event in enumerate(request.decided):
            decode = copied.get(type(event))
            if decode is not None:
                self._own.append((first + index, decode, request.events[index].payload))


class LogTail:
    """The last committed position, its waiters, and the newest events."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.position = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._kept: deque[_Batch] = deque()
        self._kept_events = 0
        self._kept_bytes = 0
        self._look_at = _LOOK_AT_EVENTS
        self._times: deque[tuple[int, int]] = deque(maxlen=_TIMES_KEPT)  # the first position of a commit, and its time
        # Weak, because an `async for` that ends with `break` drops its subscription without closing it. A plain set,
        # because each commit asks whether it is empty, and a WeakSet answers in Python.
        self._followers: set[ref[Follower]] = set()
        # The waiters, with the times at which they stop waiting; by identity: cheaper than the hash of a future.
        self._waiting: dict[int, tuple[asyncio.Future[bool], float]] = {}
        self._timer: asyncio.TimerHandle | None = None  # rings when the first of them stops waiting, or earlier
        self._closed = False
        self._has_grown = False  # since the waiters were woken
        self.listener: Callable[[Sequence[Append], Appended], None] | None = None
        """Called with each commit of this process, once the position has moved."""

    def open_at(self, head: Head) -> None:
        """Begin at the end of a log that was just opened."""
        self.position = head.position

    def advance(self, requests: Sequence[PendingAppend[Actor]], outcome: Appended) -> None:
        """Add a committed batch; the writer then calls `wake`."""
        outcomes = outcome.outcomes
        if not outcomes:
            return
        # Usually the first and the last append were written, so those between need no check.
        first, last = outcomes[0], outcomes[-1]
        if type(first) is int and type(last) is int:
            last += len(requests[-1].events) - 1
        else:
            written = [index for index, position in enumerate(outcomes) if type(position) is int]
            if not written:
                return
            first = cast(int, outcomes[written[0]])
            last = cast(int, outcomes[written[-1]]) + len(requests[written[-1]].events) - 1
        if last <= self.position:
            return  # other processes write too, and `grew_to` was told of an event behind these
        follows_on = first == self.position + 1
        self.position = last
        self._times.append((first, outcome.recorded_us))
        # The positions between belong to a commit that failed after writing: only the log has its events.
        if not (self._followers and follows_on):
            self._forget()
        if self._followers:
            self._keep(_Batch(first, self.position, requests, outcome))
        if self.listener is not None:
            self.listener(requests, outcome)
        self._has_grown = True

    def wake(self) -> None:
        """Wake the waiters if there was a commit; called in a callback of the loop, because it may resume them."""
        if self._has_grown:
            self._has_grown = False
            if self._waiting:
                waiting, self._waiting = self._waiting, {}
                for one, _ in waiting.values():
                    end(one)

    def grew_to(self, end: Head) -> None:
        """Note that another process wrote to the log, and wake the waiters; its events are read from the log."""
        if end.position <= self.position:
            return
        self._times.append((self.position + 1, end.recorded_us))
        self.position = end.position
        self._forget()
        self._wake_later()

    def _forget(self) -> None:
        if self._kept:
            self._kept.clear()
            self._kept_events = self._kept_bytes = 0

    def _keep(self, batch: _Batch) -> None:
        self._kept.append(batch)
        self._kept_events += batch.last - batch.first + 1
        self._kept_bytes += batch.size_bytes
        while len(self._kept) > 1 and (self._kept_events > self._max_events or self._kept_bytes > self._max_bytes):
            self._drop_oldest()
        if self._kept_events >= self._look_at:
            followers = [follower for reference in self._followers if (follower := reference()) is not None]
            passed = min((follower.position for follower in followers), default=self.position)
            while len(self._kept) > 1 and self._kept[0].last <= passed:
                self._drop_oldest()
            self._look_at = max(_LOOK_AT_EVENTS, 2 * self._kept_events)

    def _drop_oldest(self) -> None:
        oldest = self._kept.popleft()
        self._kept_events -= oldest.last - oldest.first + 1
        self._kept_bytes -= oldest.size_bytes

    def after(self, position: int) -> list[RecordedEvent[Event]] | None:
        """Return the newest events after a position, from one batch; None: read them from the log."""
        kept = self._kept
        if not kept or position >= self.position or position + 1 < kept[0].first:
            return None
        for batch in reversed(kept):
            if batch.first <= position + 1 <= batch.last:
                return batch.events(position + 1 - batch.first)
        return None

    def recorded_us_after(self, position: int) -> int:
        """Return when the event after a position was recorded; 0 if that is longer ago than is remembered."""
        found = 0
        for first, recorded_us in reversed(self._times):
            if first <= position:
                return found or recorded_us
            found = recorded_us
            if first == position + 1:
                return found
        return 0

    def follow(self, follower: Follower) -> None:
        """Register a follower; batches are kept while there is one."""
        self._followers.add(ref(follower, self._followers.discard))

    def unfollow(self, follower: Follower) -> None:
        """Remove a follower."""
        self._followers.discard(ref(follower))

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for the log to grow."""
        return bool(self._waiting)

    @property
    def is_closed(self) -> bool:
        """Whether the log no longer grows."""
        return self._closed

    async def beyond(self, position: int, poll_s: float) -> bool:
        """Wait until the log is longer than `position`, or `poll_s` seconds; return False if it no longer grows."""
        if self.position > position or self._closed:
            return self.position > position or not self._closed
        await self.moved(PromptFuture(asyncio.get_running_loop()), poll_s)
        return self.position > position or not self._closed

    async def moved(self, waiting: asyncio.Future[bool], within_s: float) -> bool:
        """Wait until the log grows or closes, or the future ends; return whether any of these happened.

        Returns False after `within_s` seconds.
        """
        # One timer for all: most waits end long before it rings, and the next one needs no new timer.
        loop = waiting.get_loop()
        until = loop.time() + within_s
        if self._timer is None or self._timer.when() > until:
            self._arm(loop, until)
        self._waiting[id(waiting)] = waiting, until
        try:
            return await waiting
        finally:
            self._waiting.pop(id(waiting), None)

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        waits = list(self._waiting.values())
        later = [until for _, until in waits if until > now]
        if later:
            self._arm(loop, min(later))
        for waiting, until in waits:
            if until <= now:
                end(waiting, False)  # its waiter may wait again at once

    def close(self) -> None:
        """Tell all waiters that no more events will come."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake_later()

    def _wake_later(self) -> None:
        """Wake the waiters in the next iteration of the loop; the caller may be a task."""
        for one, _ in self._waiting.values():
            self._has_grown = True
            one.get_loop().call_soon(self.wake)
            break
