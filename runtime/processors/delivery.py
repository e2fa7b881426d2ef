"""Delivery: passes events to a handler in order, retries, and parks an event that keeps failing.

One policy for live events, rebuilds and manual retries: an event whose handler fails is tried `Retry.attempts` times,
then it is parked with its error, and later events of its stream are held back behind it. Other streams continue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple, Protocol

from actorium.runtime.log.log_reader import Delivered, Unread
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.dead_letters import dead_letter, moved_to
from actorium.runtime.retry import GoNoFurther, Retry
from actorium.store.errors import StatementFailed, Transient
from actorium.store.event_store import DeadLetter, Statement
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.names import StreamName
from actorium.store.raised import error_text, let_through
from actorium.store.source import Source
from actorium.store.tables.row_tables import RowChanges
from actorium.store.wording import counted

log = logger("actorium.runtime")


OnFailure = Literal["park", "stop"]


class Delivery(Protocol):
    """How a processor's events reach its handler."""

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Deliver events in order and move the checkpoint to `position`."""

    async def again(self, letter: DeadLetter, events: Sequence[Delivered], following: Delivered | None) -> bool:
        """Deliver a parked event and those behind it; return whether all succeeded.

        `following` is the next event behind `events`. With each commit the letter moves on to the first unfinished
        event, so that a crash neither repeats written results nor loses unwritten ones.
        """


class Results(NamedTuple):
    """What is written with a checkpoint for some events."""

    statements: Sequence[Statement]
    rows: Sequence[RowChanges]


class Apply(Protocol):
    """A synchronous handler: it changes its own state, or records what is to be written."""

    def apply(self, recorded: RecordedEvent[Event], results: list[Any]) -> None:
        """Handle one event; append what is to be written with it to `results`, in a form of the handler's own."""

    def written(self, results: list[Any]) -> Results:
        """Return what is written for these results; raise StatementFailed if one of them cannot be."""

    async def restore(self, position: int) -> None:
        """Undo the changes of a failed `apply`: restore the state after the event at `position`."""


class Attempts:
    """The retries that both kinds of delivery share."""

    def __init__(self, checkpoint: Checkpoint, retry: Retry, source: Source) -> None:
        self._checkpoint = checkpoint
        self._retry = retry
        self._source = source

    async def wait(self, delivered: Delivered, attempt: int, error: BaseException) -> bool:
        """Wait before the next attempt; return False if none is left."""
        if attempt >= self._retry.attempts or isinstance(delivered, Unread):
            return False
        stream, position = delivered.stream, delivered.position
        log.warning(
            "event_retried",
            processor=self._checkpoint.name,
            stream=str(stream),
            position=position,
            attempt=attempt,
            error=error_text(error),
        )
        await asyncio.sleep(self._retry.wait_s(attempt, self._source))
        return True

    def letter(
        self, delivered: Delivered, attempt: int, error: BaseException, lane: StreamName | None = None
    ) -> DeadLetter:
        """Return the letter for an event that is parked after its attempts, and log it."""
        stream, position = delivered.stream, delivered.position
        log.error(
            "event_parked",
            processor=self._checkpoint.name,
            stream=str(stream),
            position=position,
            attempts=attempt,
            error=error_text(error),
            traceback=error,
        )
        return dead_letter(
            self._checkpoint.name, delivered, error, attempts=attempt, parked_us=self._source.now_us(), lane=lane
        )


class SequentialDelivery:
    """Delivers one event after the other, many per commit; their statements and the position move together.

    on_failure: what to do when no attempts for an event are left: "park" it, or "stop" before it.
    events_per_commit: how many events are committed together at most; None for as many as arrive together.
    """

    def __init__(
        self,
        handler: Apply,
        checkpoint: Checkpoint,
        retry: Retry,
        source: Source,
        on_failure: OnFailure = "park",
        events_per_commit: int | None = None,
    ) -> None:
        self._handler = handler
        self._events_per_commit = events_per_commit
        self._on_failure = on_failure
        self._checkpoint = checkpoint
        self._attempts = Attempts(checkpoint, retry, source)

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Deliver events in order and move the checkpoint to `position`."""
        usual_size = min(len(events), self._events_per_commit or len(events))
        begun, size = 0, usual_size
        while True:
            end = _part_end(events, begun, begun + size)
            results: list[Any] = []
            failed, error = self._apply(events, begun, end, results)
            reached = position if failed == len(events) else events[failed].position - 1
            try:
                if results or reached > self._checkpoint.position:
                    statements, rows = self._handler.written(results)
                    await self._checkpoint.save(reached, statements, rows=rows)
            except StatementFailed as failure:
                await self._handler.restore(self._checkpoint.position)
                if not results:
                    raise  # no event caused it: events behind a parked one stay there
                if _unit_end(events, begun + 1) >= failed:
                    await self._one(events[begun:failed], failure)
                    begun, size = failed, usual_size
                else:  # one event cannot be written: halve the batch until it is found, to park only that one
                    size = (failed - begun + 1) // 2
            else:
                begun = failed
                if error is not None:
                    await self._handler.restore(reached)
                    begun = _unit_end(events, failed + 1)
                    await self._one(events[failed:begun], error)
            if begun == len(events) and self._checkpoint.position >= position:
                return

    async def again(self, letter: DeadLetter, events: Sequence[Delivered], following: Delivered | None) -> bool:
        """Deliver a parked event and those behind it; return whether all succeeded."""
        # All in one commit first: after a fix, they are expected to succeed.
        if await self._write_again(letter, list(events), following) is None:
            return True
        await self._handler.restore(self._checkpoint.position)
        units = _units(events)
        for unit, behind in zip(units, [*units[1:], None], strict=True):
            moved = await self._one_again(letter, unit, behind[0] if behind else following)
            if moved is None:
                return False
            letter = moved
        return True

    async def _one_again(
        self, letter: DeadLetter, unit: list[Delivered], following: Delivered | None
    ) -> DeadLetter | None:
        """Deliver the event a letter is at; return the letter at its next event, or None if it is parked again."""
        attempt = 0
        while True:
            attempt += 1
            error = await self._write_again(letter, unit, following)
            if error is None:
                return moved_to(letter, following) if following is not None else letter
            await self._handler.restore(self._checkpoint.position)
            if not await self._attempts.wait(unit[0], attempt, error):
                again = self._attempts.letter(unit[0], letter.attempts + attempt, error)
                await self._checkpoint.save(self._checkpoint.position, settled=[letter], parked=[again])
                return None

    async def _write_again(
        self, letter: DeadLetter, events: list[Delivered], following: Delivered | None
    ) -> BaseException | None:
        parked = [moved_to(letter, following)] if following is not None else []
        return await self._write(events, self._checkpoint.position, settled=[letter], parked=parked)

    def _apply(
        self, events: Sequence[Delivered], begun: int, end: int, results: list[Any]
    ) -> tuple[int, BaseException | None]:
        """Apply events; return the start of the first record that failed and its error, or the end and None."""
        apply, letters = self._handler.apply, self._checkpoint.letters
        letters_at_all = bool(letters)
        start, mark, place = begun, 0, -1  # where the events of the current record began
        for index in range(begun, end):
            delivered = events[index]
            if letters_at_all and letters.hold_back(delivered):
                continue
            if isinstance(delivered, Unread):
                return index, delivered.error
            if delivered.position != place:
                place, start, mark = delivered.position, index, len(results)
            try:
                apply(delivered, results)
            except BaseException as raised:
                let_through(raised)
                del results[mark:]
                return start, raised
        return end, None

    async def _one(self, unit: Sequence[Delivered], error: BaseException) -> None:
        """Deliver the events of one record again, alone; park it when no attempts are left."""
        position = unit[0].position
        attempt = 1
        while await self._attempts.wait(unit[0], attempt, error):
            attempt += 1
            failure = await self._write(unit, position)
            if failure is None:
                return
            error = failure
            await self._handler.restore(position - 1)
        if self._on_failure == "stop":
            raise GoNoFurther(
                f"{unit[0].stream} at position {position} failed after {counted(attempt, 'attempt')}: "
                f"{error_text(error)}; fix the handler, then restart or call resume()"
            ) from error
        await self._checkpoint.save(position, parked=[self._attempts.letter(unit[0], attempt, error)])

    async def _write(
        self,
        events: Sequence[Delivered],
        position: int,
        *,
        settled: Sequence[DeadLetter] = (),
        parked: Sequence[DeadLetter] = (),
    ) -> BaseException | None:
        """Apply events and commit their statements; return the error if an event caused it.

        An error of the store is raised, because no event caused it; the same error from a handler is returned.
        """
        results: list[Any] = []
        for delivered in events:
            if isinstance(delivered, Unread):
                return delivered.error
            try:
                self._handler.apply(delivered, results)
            except BaseException as raised:
                let_through(raised)
                return raised
        try:
            statements, rows = self._handler.written(results)
            await self._checkpoint.save(position, statements, rows=rows, settled=settled, parked=parked)
        except Transient:
            raise
        except Exception as failure:
            return failure
        return None


def _units(events: Sequence[Delivered]) -> list[list[Delivered]]:
    """Return events grouped by record: those that upcasters made of one record succeed or fail together."""
    return [list(unit) for _, unit in groupby(events, key=lambda one: one.position)]


def _part_end(events: Sequence[Delivered], begun: int, end: int) -> int:
    """Return the nearest end at or before `end` that splits no record, or else the end of the first record."""
    end = min(end, len(events))
    while begun < end < len(events) and events[end].position == events[end - 1].position:
        end -= 1
    return end if end > begun else _unit_end(events, min(begun + 1, len(events)))


def _unit_end(events: Sequence[Delivered], end: int) -> int:
    """Return the end of the record that the event before `end` belongs to."""
    while 0 < end < len(events) and events[end].position == events[end - 1].position:
        end += 1
    return end
