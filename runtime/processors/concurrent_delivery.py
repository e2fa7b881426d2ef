"""`ConcurrentDelivery`: delivers events to slow handlers, in concurrent lanes that each keep their order.

Retries and parking follow `delivery.py`. Invariants: at most one event of a lane is being handled, unless the handler
lets them overlap; after a failure, the rest of its lane in the page is handled one by one; the position never passes an
unfinished event; when a page ends, for any reason, none of its tasks is left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import anyio

from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.log_reader import Delivered, Unread
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.dead_letters import moved_to
from actorium.runtime.processors.delivery import Attempts
from actorium.runtime.retry import Retry
from actorium.store.errors import LostRace, Transient
from actorium.store.event_store import DeadLetter
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import StreamName
from actorium.store.raised import let_through
from actorium.store.source import Source

_SAVE_EVERY_S = 0.25  # how much work with external effects a crash may repeat
Ended = Callable[[asyncio.Future[Any]], None]


class React(Protocol):
    """A slow handler with external effects.

    concurrency: how many events may be under way at the same time.
    """

    concurrency: int

    def lane(self, delivered: Delivered) -> StreamName | None:
        """Return the lane in which an event is handled; None if there is nothing to do for it."""

    def begin(self, recorded: RecordedEvent[Event], ended: Ended) -> bool:
        """Begin the effect of one event and report its end to `ended`; False if `react` must do it in a task."""

    def may_overlap(self, delivered: Delivered) -> bool:
        """Return whether to begin an event before those ahead of it in its lane have ended.

        If one of them fails, all that were begun behind it must fail, too.
        """

    async def react(self, recorded: RecordedEvent[Event]) -> None:
        """Carry out the effect of one event."""


class _Lane:
    """The events of one lane in a page, by their indexes.

    waiting: those not begun; under_way: how many were begun and have not ended.
    undone: those that failed, with their errors; the lane goes on with them when nothing is under way.
    """

    __slots__ = ("under_way", "undone", "waiting")

    def __init__(self, first: int) -> None:
        self.waiting: deque[int] = deque((first,))
        self.under_way = 0
        self.undone: dict[int, BaseException] = {}


class ConcurrentDelivery:
    """The delivery of one processor; its position follows the slowest lane and is saved at intervals.

    is_stopping: whether the runtime stops; a RuntimeClosed of another runtime is an ordinary failure.
    """

    def __init__(
        self, handler: React, checkpoint: Checkpoint, retry: Retry, source: Source, is_stopping: Callable[[], bool]
    ) -> None:
        self._handler = handler
        self._checkpoint = checkpoint
        self._attempts = Attempts(checkpoint, retry, source)
        self._is_stopping = is_stopping

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Deliver events, in order within a lane, and move the checkpoint to `position`."""
        page = _Page(self, events, position)
        page.begin(self._handler.concurrency)
        if page.lanes_left:
            try:
                await self._see_through(page)
            finally:
                await page.close()
        # A second save writes the same values: a save that was just cancelled may have been written.
        await self._save(position, page.parked)

    async def again(self, letter: DeadLetter, events: Sequence[Delivered], following: Delivered | None) -> bool:
        """Deliver a parked event and those behind it; return whether all succeeded."""
        checkpoint = self._checkpoint
        for delivered, behind in zip(events, [*events[1:], following], strict=True):
            parked_again = await self.deliver(delivered)
            if parked_again is not None:
                await checkpoint.save(checkpoint.position, settled=[letter], parked=[parked_again])
                return False
            if behind is not None:
                moved = moved_to(letter, behind)
                await checkpoint.save(checkpoint.position, settled=[letter], parked=[moved])
                letter = moved
        if following is None:
            await checkpoint.save(checkpoint.position, settled=[letter])
        return True

    async def _see_through(self, page: _Page) -> None:
        """Wait for the end of a page; save the progress of a long one, so that a crash repeats little of it."""
        saved = 0
        is_store_away = False
        while not page.ended.done():
            await asyncio.wait((page.ended,), timeout=_SAVE_EVERY_S)
            position = max(page.position, self._checkpoint.position)
            if (
                page.ended.done()
                or is_store_away
                or (position == self._checkpoint.position and len(page.parked) == saved)
            ):
                continue
            saved = len(page.parked)
            try:
                await self._save(position, page.parked[:saved])
            except Transient:
                is_store_away = True  # the save at the end of the page reports it, if it lasts
        page.ended.result()

    async def _save(self, position: int, parked: Sequence[DeadLetter]) -> None:
        await self._checkpoint.save(position, parked=sorted(parked, key=lambda letter: letter.position))

    def begin(self, delivered: Delivered, ended: Ended) -> bool:
        """Begin one event without a task; return False if `deliver` must handle it."""
        if isinstance(delivered, Unread):
            return False
        try:
            return self._handler.begin(delivered, ended)
        except BaseException as raised:
            let_through(raised)
            return False  # it fails again in `react`

    async def deliver(self, delivered: Delivered, failed: BaseException | None = None) -> DeadLetter | None:
        """Deliver one event, with retries; return its letter when no attempts are left.

        `failed` is the error of the first attempt, if that is over.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                if isinstance(delivered, Unread):
                    raise delivered.error
                if failed is not None:
                    first, failed = failed, None
                    raise first
                await self._handler.react(delivered)
                return None
            except BaseException as raised:
                let_through(raised)
                error = raised
            if isinstance(error, RuntimeClosed) and self._is_stopping():
                # The runtime is stopping under the handler, so the event is not at fault: the next run delivers it.
                await asyncio.get_running_loop().create_future()
            if not await self._attempts.wait(delivered, attempt, error):
                return self._attempts.letter(delivered, attempt, error, self._lane_of(delivered))

    def may_overlap(self, delivered: Delivered) -> bool:
        """Return whether an event may begin before those ahead of it in its lane have ended."""
        return self._handler.may_overlap(delivered)

    def lanes(self, events: Sequence[Delivered], page: _Page) -> list[_Lane]:
        """Return the indexes of events by lane; note those that need no handling."""
        lanes: dict[StreamName, _Lane] = {}
        letters = self._checkpoint.letters
        any_letters = bool(letters)
        for index, delivered in enumerate(events):
            lane = self._lane_of(delivered)
            if lane is None or (any_letters and letters.hold_back(delivered, lane)):
                page.over(index)
            elif (waiting := lanes.get(lane)) is None:
                lanes[lane] = _Lane(index)
            else:
                waiting.waiting.append(index)
        return list(lanes.values())

    def _lane_of(self, delivered: Delivered) -> StreamName | None:
        try:
            return self._handler.lane(delivered)
        except BaseException as raised:
            let_through(raised)
            return delivered.stream  # it fails again in `react`, and is parked there


class _Page:
    """A page in progress: how much of it is finished without a gap, while its lanes advance independently."""

    def __init__(self, delivery: ConcurrentDelivery, events: Sequence[Delivered], end: int) -> None:
        self.parked: list[DeadLetter] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._delivery = delivery
        self._events = events
        self._end = end
        self._is_over = bytearray(len(events))
        self._first_left = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._waiting: deque[_Lane] = deque(delivery.lanes(events, self))
        self.lanes_left = len(self._waiting)
        self._room = 0  # how many more events may be under way

    @property
    def position(self) -> int:
        """The position up to which everything is finished."""
        return self._events[self._first_left].position - 1 if self._first_left < len(self._events) else self._end

    def over(self, index: int) -> None:
        """Note that an event was delivered, parked, held back or needs no handling."""
        self._is_over[index] = True
        while self._first_left < len(self._is_over) and self._is_over[self._first_left]:
            self._first_left += 1

    def begin(self, concurrency: int) -> None:
        """Begin the first events, up to this many at the same time."""
        self._room = concurrency
        self._begin_lanes()

    async def close(self) -> None:
        """Accept nothing more, and end the running tasks."""
        self._closed = True
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin_lanes(self) -> None:
        while self._waiting and self._room:
            self._go_on(self._waiting.popleft())

    def _go_on(self, lane: _Lane) -> None:
        """Begin the next events of a lane, as long as they may overlap and there is room."""
        waiting, delivery = lane.waiting, self._delivery
        while waiting and self._room:
            index = waiting[0]
            delivered = self._events[index]
            if lane.under_way and not delivery.may_overlap(delivered):
                return
            if not delivery.begin(delivered, partial(self._begun_ended, lane, index)):
                if not lane.under_way:
                    self._in_a_task(lane, None)
                return
            waiting.popleft()
            lane.under_way += 1
            self._room -= 1

    def _begun_ended(self, lane: _Lane, index: int, begun: asyncio.Future[Any]) -> None:
        failed = asyncio.CancelledError() if begun.cancelled() else begun.exception()
        if self._closed:
            return
        self._room += 1
        lane.under_way -= 1
        if failed is None:
            self.over(index)
        else:
            lane.undone[index] = failed
        if lane.undone:
            if not lane.under_way:
                self._try_again(lane)
        elif lane.waiting:
            self._go_on(lane)
        elif not lane.under_way:
            self._lane_ended()
            return
        self._begin_lanes()

    def _try_again(self, lane: _Lane) -> None:
        """Handle what failed, and what follows it, one by one."""
        first, *others = sorted(lane.undone)
        error = lane.undone[first]
        lane.waiting.extendleft([*reversed(others), first])
        lane.undone.clear()
        # These say nothing about the event, and do not count as an attempt.
        self._in_a_task(lane, None if isinstance(error, Transient | LostRace) else error)

    def _in_a_task(self, lane: _Lane, failed: BaseException | None) -> None:
        self._room -= 1
        task = asyncio.get_running_loop().create_task(self._deliver(lane.waiting, failed))
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    async def _deliver(self, waiting: deque[int], failed: BaseException | None) -> None:
        while waiting:
            letter = await self._delivery.deliver(self._events[waiting[0]], failed)
            failed = None
            if letter is not None:
                self.parked.append(letter)
                while waiting:
                    self.over(waiting.popleft())
                return
            self.over(waiting.popleft())

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._closed:
            return
        self._room += 1
        error = task.exception()
        if error is None:
            self._lane_ended()
        elif not self.ended.done():
            self.ended.set_exception(error)

    def _lane_ended(self) -> None:
        self.lanes_left -= 1
        if not self.lanes_left and not self.ended.done():
            self.ended.set_result(None)
        self._begin_lanes()
