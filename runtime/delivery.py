"""Delivery: events to a handler, in order, with retries, and parked when nothing helps.

One policy for live events, a rebuild and a retry by hand: an event whose handler fails is tried `Retry.attempts` times,
then it is parked with its error, and later events of its stream are held back behind it. Other streams go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import anyio
import structlog

from actorium.runtime.dead_letters import dead_letter, place_of
from actorium.runtime.feed import Delivered, Unread
from actorium.runtime.ledger import Ledger
from actorium.runtime.retry import Retry
from actorium.store.errors import StatementFailed, StoreError, UnreadableEvent
from actorium.store.event_store import DeadLetter, Statement
from actorium.store.events import Event, RecordedEvent, StreamName
from actorium.store.source import Source

log = structlog.get_logger("actorium.runtime")


class Delivery(Protocol):
    """How a processor's events reach its handler."""

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Deliver events in order and move the ledger to `position`."""

    async def again(self, letter: DeadLetter | None, events: Sequence[Delivered]) -> bool:
        """Deliver a parked event (None: it was discarded) and those behind it; return whether all went well."""


class Apply(Protocol):
    """A handler that works at once: it changes state of its own, or records statements."""

    def apply(self, recorded: RecordedEvent[Event], statements: list[Statement]) -> None:
        """Handle one event; what is to be written with it goes into `statements`."""

    async def restore(self, position: int) -> None:
        """Forget whatever a failed `apply` left behind: be as after the event at `position`."""


class React(Protocol):
    """A handler with effects outside, which takes its time."""

    concurrency: int

    def lane(self, delivered: Delivered) -> StreamName:
        """Return the name of the line in which an event is handled: events of one lane in order, lanes side by side."""

    async def react(self, recorded: RecordedEvent[Event]) -> None:
        """Carry out the effect of one event."""


class _Attempts:
    """The retries that both kinds of delivery share."""

    def __init__(self, ledger: Ledger, retry: Retry, source: Source) -> None:
        self._ledger = ledger
        self._retry = retry
        self._source = source

    async def wait(self, delivered: Delivered, attempt: int, error: Exception) -> bool:
        """Wait before the next attempt; return False when there is none."""
        if attempt >= self._retry.attempts or isinstance(delivered, Unread):
            return False
        stream, position = place_of(delivered)
        log.warning(
            "event_retried",
            processor=self._ledger.name,
            stream=str(stream),
            position=position,
            attempt=attempt,
            error=f"{type(error).__name__}: {error}",
        )
        await asyncio.sleep(self._retry.wait_s(attempt, self._source))
        return True

    def letter(
        self, delivered: Delivered, attempt: int, error: Exception, lane: StreamName | None = None
    ) -> DeadLetter:
        """Return the letter for an event that is parked after so many attempts, and say it in the log."""
        stream, position = place_of(delivered)
        log.error(
            "event_parked",
            processor=self._ledger.name,
            stream=str(stream),
            position=position,
            attempts=attempt,
            error=f"{type(error).__name__}: {error}",
        )
        return dead_letter(
            self._ledger.name, delivered, error, attempts=attempt, parked_us=self._source.now_us(), lane=lane
        )


class SequentialDelivery:
    """One event after the other, many to a commit; what they write and the position move together."""

    def __init__(self, handler: Apply, ledger: Ledger, retry: Retry, source: Source) -> None:
        self._handler = handler
        self._ledger = ledger
        self._attempts = _Attempts(ledger, retry, source)

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Deliver events in order and move the ledger to `position`."""
        apply, letters = self._handler.apply, self._ledger.letters
        statements: list[Statement] = []
        begun = index = start = mark = place = 0  # `start` and `mark`: where the events of one record began
        while index < len(events):
            delivered = events[index]
            index += 1
            if letters and letters.hold_back(delivered):
                continue
            if type(delivered) is Unread or delivered.position != place:  # type: ignore[union-attr]
                place, start, mark = place_of(delivered)[1], index - 1, len(statements)
            try:
                if type(delivered) is Unread:
                    raise delivered.error
                apply(delivered, statements)  # type: ignore[arg-type]
            except Exception as error:
                del statements[mark:]
                await self._commit(events[begun:start], place - 1, statements)
                await self._handler.restore(place - 1)
                unit = [one for one in events[start:] if place_of(one)[1] == place]
                await self._one(unit, error)
                statements, begun = [], start + len(unit)
                index = begun
        await self._commit(events[begun:], position, statements)

    async def again(self, letter: DeadLetter | None, events: Sequence[Delivered]) -> bool:
        """Deliver a parked event (None: it was discarded) and those behind it; return whether all went well."""
        ledger = self._ledger
        for unit in _units(events):
            try:
                statements = self._applied(unit)
                if statements:
                    # Each by itself: which of them fails must be known, and a retry by hand is not the hot path.
                    await ledger.save(ledger.position, statements)
            except Exception as error:
                if _is_store_away(error):
                    raise
                await self._handler.restore(ledger.position)
                attempts = 1 + (letter.attempts if letter else 0)
                return await _conclude(ledger, letter, self._attempts.letter(unit[0], attempts, error))
        return await _conclude(ledger, letter, None)

    async def _commit(self, events: Sequence[Delivered], position: int, statements: list[Statement]) -> None:
        try:
            await self._ledger.save(position, statements)
        except StatementFailed:
            # One of them cannot be written: one by one, so that only that one is parked.
            await self._handler.restore(self._ledger.position)
            for unit in _units(events):
                if not self._ledger.letters.hold_back(unit[0]):
                    await self._one(unit, None)
            await self._ledger.save(position)

    async def _one(self, unit: list[Delivered], error: Exception | None) -> None:
        """Deliver the events of one record by themselves, with all attempts; park it when they are used up."""
        _, position = place_of(unit[0])
        attempt = 0 if error is None else 1
        while error is None or await self._attempts.wait(unit[0], attempt, error):
            attempt += 1
            try:
                await self._ledger.save(position, self._applied(unit))
                return
            except Exception as failure:
                if _is_store_away(failure):
                    raise
                error = failure
            await self._handler.restore(position - 1)
        await self._ledger.save(position, parked=[self._attempts.letter(unit[0], attempt, error)])

    def _applied(self, unit: list[Delivered]) -> list[Statement]:
        statements: list[Statement] = []
        for delivered in unit:
            if isinstance(delivered, Unread):
                raise delivered.error
            self._handler.apply(delivered, statements)
        return statements


def _is_store_away(error: Exception) -> bool:
    """Say whether an error is no fault of the event: the processor waits until the store is back."""
    return isinstance(error, StoreError) and not isinstance(error, StatementFailed | UnreadableEvent)


def _units(events: Sequence[Delivered]) -> list[list[Delivered]]:
    """Return events in groups that stand or fall together: those that upcasters made of one record."""
    return [list(unit) for _, unit in groupby(events, key=lambda one: place_of(one)[1])]


class ConcurrentDelivery:
    """Streams side by side, each in its order; the position moves when a whole page is over."""

    def __init__(self, handler: React, ledger: Ledger, retry: Retry, source: Source) -> None:
        self._handler = handler
        self._ledger = ledger
        self._attempts = _Attempts(ledger, retry, source)

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Deliver events, those of a stream in order, and move the ledger to `position`."""
        lanes: dict[StreamName, list[Delivered]] = {}
        for delivered in events:
            lane = self._handler.lane(delivered)
            if not self._ledger.letters.hold_back(delivered, lane):
                lanes.setdefault(lane, []).append(delivered)
        parked: list[DeadLetter] = []
        places = asyncio.Semaphore(self._handler.concurrency)

        async def run(lane: list[Delivered]) -> None:
            async with places:
                letter = await self._lane(lane)
            if letter is not None:
                parked.append(letter)

        async with anyio.create_task_group() as tasks:
            for waiting in lanes.values():
                tasks.start_soon(run, waiting)
        parked.sort(key=lambda letter: letter.position)
        await self._ledger.save(position, parked=parked)

    async def again(self, letter: DeadLetter | None, events: Sequence[Delivered]) -> bool:
        """Deliver a parked event (None: it was discarded) and those behind it; return whether all went well."""
        return await _conclude(self._ledger, letter, await self._lane(list(events)))

    async def _lane(self, lane: list[Delivered]) -> DeadLetter | None:
        """Deliver the events of one stream in order, up to the first that has to be parked."""
        for delivered in lane:
            attempt = 0
            while True:
                attempt += 1
                try:
                    if isinstance(delivered, Unread):
                        raise delivered.error
                    await self._handler.react(delivered)
                    break
                except Exception as error:
                    if not await self._attempts.wait(delivered, attempt, error):
                        return self._attempts.letter(delivered, attempt, error, self._handler.lane(delivered))
        return None


async def _conclude(ledger: Ledger, letter: DeadLetter | None, parked_again: DeadLetter | None) -> bool:
    """Write how a delivery by hand ended: the old letter is over, and perhaps there is a new one further on."""
    await ledger.save(
        ledger.position, settled=[letter] if letter else [], parked=[parked_again] if parked_again else []
    )
    return parked_again is None
