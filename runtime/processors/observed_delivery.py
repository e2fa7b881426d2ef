"""The handlers of processors when instruments observe each event; without such instruments nothing here runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actorium.runtime.instrument import Tell
from actorium.runtime.log.log_reader import Delivered
from actorium.runtime.processors.concurrent_delivery import Ended, React
from actorium.runtime.processors.delivery import Apply, Results
from actorium.runtime.processors.outlet import OutletWork
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import StreamName


class ObservedApply:
    """A synchronous handler that reports each event."""

    def __init__(self, handler: Apply, processor: str, tell: Tell, time: Callable[[], float]) -> None:
        self._handler = handler
        self._processor = processor
        self._tell = tell
        self._time = time

    def apply(self, recorded: RecordedEvent[Event], results: list[Any]) -> None:
        """Handle one event, then report it."""
        began = self._time()
        try:
            self._handler.apply(recorded, results)
        except BaseException as raised:
            self._tell(self._processor, recorded, self._time() - began, raised)
            raise
        self._tell(self._processor, recorded, self._time() - began, None)

    def written(self, results: list[Any]) -> Results:
        """Return what is written for these results."""
        return self._handler.written(results)

    async def restore(self, position: int) -> None:
        """Undo the changes of a failed `apply`."""
        await self._handler.restore(position)


class ObservedReact:
    """A slow handler that reports each event when its effect has ended."""

    def __init__(self, handler: React, processor: str, tell: Tell, time: Callable[[], float]) -> None:
        self._handler = handler
        self._processor = processor
        self._tell = tell
        self._time = time
        self.concurrency = handler.concurrency

    def lane(self, delivered: Delivered) -> StreamName | None:
        """Return the lane in which an event is handled."""
        return self._handler.lane(delivered)

    def begin(self, recorded: RecordedEvent[Event], ended: Ended) -> bool:
        """Begin the effect of one event without a task, if the handler can."""
        began = self._time()

        def reported(done: asyncio.Future[Any]) -> None:
            error = asyncio.CancelledError() if done.cancelled() else done.exception()
            self._tell(self._processor, recorded, self._time() - began, error)
            ended(done)

        return self._handler.begin(recorded, reported)

    def may_overlap(self, delivered: Delivered) -> bool:
        """Return whether an event may begin before those ahead of it have ended."""
        return self._handler.may_overlap(delivered)

    async def react(self, recorded: RecordedEvent[Event]) -> None:
        """Carry out the effect of one event, then report it."""
        began = self._time()
        try:
            await self._handler.react(recorded)
        except BaseException as raised:
            self._tell(self._processor, recorded, self._time() - began, raised)
            raise
        self._tell(self._processor, recorded, self._time() - began, None)


class ObservedOutletWork(OutletWork):
    """An outlet that reports each event that its sink was offered."""

    def __init__(self, *wanted: Any, processor: str, tell: Tell, time: Callable[[], float]) -> None:
        super().__init__(*wanted)
        self._processor = processor
        self._tell = tell
        self._time = time

    async def _publish(self, recorded: RecordedEvent[Event]) -> None:
        began = self._time()
        try:
            await super()._publish(recorded)
        except BaseException as raised:
            self._tell(self._processor, recorded, self._time() - began, raised)
            raise
        self._tell(self._processor, recorded, self._time() - began, None)
