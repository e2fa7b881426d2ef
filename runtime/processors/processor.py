"""`Processor`: drives projections, reactions and sagas along the log.

Invariants: one task per processor; events are delivered in log order; the checkpoint moves without gaps; operators'
    requests (reset, retry, discard) run in the processor's own task, between two pages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from actorium.actors.errors import NotFound
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import FollowerElsewhere, RuntimeClosed
from actorium.runtime.log.event_reader import EventReader
from actorium.runtime.log.log_reader import Delivered
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.dead_letters import moved_to, require_reason
from actorium.runtime.processors.delivery import Delivery
from actorium.runtime.processors.processor_statistics import ProcessorStatistics, lag_of
from actorium.runtime.processors.recall_window import RecallWindow, recalled
from actorium.runtime.processors.work import Work, failure_of_errand
from actorium.runtime.retry import GoNoFurther, Retry, TryLater
from actorium.runtime.waits import end, ended
from actorium.store.errors import ConfigurationError, Transient
from actorium.store.event_store import DeadLetter, StreamRead
from actorium.store.log import logger
from actorium.store.names import StreamName
from actorium.store.raised import error_text, let_through
from actorium.store.wording import counted

log = logger("actorium.runtime")

# An unavailable store is retried without limit: there is no alternative, and a retry is cheap.
_STORE_RETRY = Retry(attempts=1, backoff_s=0.1, backoff_max_s=5.0)
_STREAM_PAGE = 1_000


class Processor:
    """Delivers the events of the log to one handler; get it from `runtime.processors` for monitoring and repair.

    name: its own name, under which its checkpoint and dead letters are saved.
    plain_name: the name of the handler that it drives.
    """

    def __init__(
        self,
        work: Work,
        delivery: Delivery,
        checkpoint: Checkpoint,
        log_reader: EventReader,
        environment: RuntimeEnvironment,
        *,
        plain_name: str,
        lane: Callable[[Delivered], StreamName | None] | None = None,
        hold_s: float = 0.0,
    ) -> None:
        self.name = checkpoint.name
        self.plain_name = plain_name
        self.checkpoint = checkpoint
        self._work = work
        self._delivery = delivery
        self._log_reader = log_reader
        self._store = environment.store
        self._source = environment.source
        self._poll_s = environment.settings.poll_s
        self._lane = lane
        self._window = RecallWindow(hold_s, environment.source) if hold_s else None
        self._state, self._error = "starting", ""
        self._handled = 0
        self._searched_us = 0  # when the last finished event was recorded, if it was seen
        self._parked_max = environment.settings.max_parked
        self._is_prepared = False
        self._paused = self._is_halted = False
        self._looks = True
        self._called: asyncio.Future[bool] | None = None
        self._errands: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._tell_delivered = environment.instruments.teller("events_delivered")
        self._tell_lag = environment.instruments.teller("processor_lag")

    @property
    def position(self) -> int:
        """The position up to which every event has been handled, parked or held back."""
        return self.checkpoint.position

    @property
    def is_elsewhere(self) -> bool:
        """Whether another node of the cluster runs it."""
        return self._state == "elsewhere"

    def pause(self) -> None:
        """Stop delivering events after the current page, until `resume`. A restart ends the pause."""
        self._paused = True

    def resume(self) -> None:
        """Continue from where `pause` stopped delivery."""
        self._paused = self._is_halted = False
        self._call()

    async def reset(self) -> None:
        """Start over from the first event; a projection is emptied, and a reaction treats past events as a replay."""
        await self.between_pages(self._work.reset)
        self._is_halted = False

    def dead_letters(self, *, discarded: bool = False) -> list[DeadLetter]:
        """Return the parked events, or the discarded ones, in log order."""
        letters = self.checkpoint.letters
        return letters.discarded() if discarded else letters.parked()

    async def retry(self, position: int | None = None) -> int:
        """Redeliver the event parked at a position, or all parked events by default; return how many were resolved."""

        async def retry() -> int:
            done = 0
            for letter in self._chosen(position):
                done += await self._redeliver(letter)
            return done

        return int(await self.between_pages(retry))

    async def discard(self, position: int, reason: str) -> bool:
        """Discard a parked event and deliver the events held back behind it; return whether all of them succeeded."""
        require_reason(self.name, "discard", reason)

        async def discard() -> bool:
            (letter,) = self._chosen(position)
            behind: list[Delivered] = await anext(self._held(letter, with_itself=False), [])
            # In one step, so that the events behind it are never lost.
            parked = [msgspec.structs.replace(letter, discarded=reason)]
            parked += [moved_to(letter, one) for one in behind[:1]]
            await self.checkpoint.save(self.checkpoint.position, parked=parked)
            return not behind or await self._redeliver(parked[1])

        return bool(await self.between_pages(discard))

    async def recall(self, position: int, reason: str) -> None:
        """Take back an event that was not handed out yet: it is skipped, and listed among the discarded ones.

        The `hold_s` of an outlet or a `@react` function gives time for it. Raises NotFound if the event was handed out.
        """
        require_reason(self.name, "recall", reason)

        async def recall() -> None:
            records = await self._store.read_log(position - 1, 1) if position > self.position else []
            if not self._log_reader.decoded(records, self._work.event_classes):
                raise NotFound(f"{self.name} does not hold the event at position {position}: it is too late to recall")
            letter = recalled(self.name, records[0], reason, self._source.now_us())
            await self.checkpoint.save(self.position, parked=[letter])

        await self.between_pages(recall)

    def statistics(self) -> ProcessorStatistics:
        """Return the current statistics of the processor."""
        lag_events, lag_s = self._lag()
        state, error = self._state, self._error
        if state == "full":
            parked = len(self.checkpoint.letters)
            error = f"{counted(parked, 'event')} parked (the limit max_parked): fix the handler, then call retry()"
        if self._paused and state in ("starting", "running", "full"):
            state = "paused"
        return ProcessorStatistics(
            name=self.name,
            state=state,
            position=self.checkpoint.position,
            lag_events=lag_events,
            lag_s=lag_s,
            handled=self._handled,
            parked=len(self.checkpoint.letters),
            error=error,
        )

    async def prepare(self) -> None:
        """Prepare the processor before it runs; raise any error that can be detected now."""
        await self._work.prepare()
        position = self.checkpoint.position
        if self._log_reader.log_tail.position > position:
            self._searched_us = await self._log_reader.recorded_us_after(position)
        self._is_prepared = True

    async def run(self) -> None:
        """Follow the log until cancelled."""
        try:
            await self.follow()
        finally:
            self._state, closed = "stopped", RuntimeClosed(f"the processor {self.name} has stopped")
            self.checkpoint.close(closed)
            self._refuse_errands(closed)

    async def follow(self) -> None:
        """Follow the log until cancelled; call `rest` afterwards, and `follow` again later."""
        attempt, tried_at, self._state = 0, -1, "starting"
        while True:
            try:
                if not self._is_prepared:
                    await self.prepare()
                await self._step()
                attempt, self._error = 0, self._error if self._is_halted else ""
            except GoNoFurther as halt:
                self._halt(halt)
            except BaseException as raised:
                let_through(raised)
                attempt = attempt + 1 if self.checkpoint.position == tried_at else 1
                tried_at = self.checkpoint.position
                await self._recover(raised, attempt)

    def rest(self) -> None:
        """Leave the log to another node, which runs this processor from now on."""
        self._state, self._is_prepared = "elsewhere", False
        self.checkpoint.rest()
        self._refuse_errands(FollowerElsewhere.of(self.name))

    def _halt(self, halt: GoNoFurther) -> None:
        self._is_halted, self._state, self._error = True, "failed", str(halt)
        log.error("processor_halted", processor=self.name, error=self._error, traceback=halt)

    async def _recover(self, error: BaseException, attempt: int) -> None:
        """Wait until it makes sense to continue; after any failure, the engine and the other processors continue."""
        is_awaited = isinstance(error, Transient | TryLater)
        self._state, self._error = "waiting" if is_awaited else "failed", error_text(error)
        if is_awaited:
            log.warning("processor_waits", processor=self.name, error=self._error, attempt=attempt)
        else:
            log.error("processor_failed", processor=self.name, attempt=attempt, error=self._error, traceback=error)
        # The outcome of a failed commit is unknown: ask the store, so that nothing is done twice.
        self._is_prepared = self._is_prepared and isinstance(error, TryLater)
        if not self._is_prepared:
            self._refuse_errands(error)
        self._report_lag()
        retry = error.retry if isinstance(error, TryLater) else _STORE_RETRY
        await self._wait(retry.wait_s(attempt, self._source))

    def _report_lag(self) -> None:
        if self._tell_lag is not None:
            self._tell_lag(self.name, *self._lag())

    def _lag(self) -> tuple[int, float]:
        return lag_of(self.checkpoint.position, self._log_reader.log_tail, self._searched_us, self._source.now_us())

    def _refuse_errands(self, error: BaseException) -> None:
        while self._errands:
            _, answer = self._errands.popleft()
            if not answer.done():
                answer.set_exception(failure_of_errand(self.name, error))

    async def _step(self) -> None:
        while self._errands:
            await self._do(*self._errands.popleft())
        if self._paused or self._is_halted:
            self._report_lag()
            await self._wait(self._poll_s)
            return
        if len(self.checkpoint.letters) >= self._parked_max:
            # A handler that fails for so many streams is broken, so nothing more is parked.
            if self._state != "full":
                log.error("processor_full", processor=self.name, parked=len(self.checkpoint.letters))
            self._state = "full"
            self._report_lag()
            await self._wait(self._poll_s)
            return
        self._state = "running"
        position, head = self.checkpoint.position, self._log_reader.log_tail.position
        if head > position or self._looks:
            self._looks = False
            found = await self._log_reader.after(position, self._work.event_classes)
            if self._window is not None:
                found, wait_s = self._window.due(found)
                if wait_s and found.position <= position:
                    self._report_lag()
                    await self._wait(wait_s)
                    return
            if found.position > position:
                await self._delivery.page(found.events, found.position)
                self._searched_us = found.recorded_us or self._searched_us
                self._handled += len(found.events)
                if self._tell_delivered is not None:
                    self._tell_delivered(self.name, len(found.events), self.checkpoint.position)
                self._report_lag()
                if self.checkpoint.position >= head:
                    # More events may have arrived; under load they always have.
                    await self._work.caught_up()
                return
        await self._work.caught_up()
        if self._log_reader.log_tail.position <= position and not self._errands:
            # No notification came: poll, in case one was lost.
            self._looks = not await self._log_reader.log_tail.moved(self._to_be_called(), self._poll_s)

    async def _wait(self, timeout_s: float) -> None:
        """Wait for a wake-up, for `timeout_s` seconds at most."""
        if not self._errands:
            await ended(self._to_be_called(), timeout_s)

    def _to_be_called(self) -> asyncio.Future[bool]:
        self._called = asyncio.get_running_loop().create_future()
        return self._called

    def _call(self) -> None:
        end(self._called)

    async def between_pages(self, errand: Callable[[], Awaitable[Any]]) -> Any:
        """Run an errand in the processor's own task, between two pages, and return its result.

        Raises RuntimeClosed if the processor has stopped.
        """
        if self._state == "stopped":
            raise RuntimeClosed(f"the processor {self.name} has stopped")
        if self.is_elsewhere:
            raise FollowerElsewhere.of(self.name)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._errands.append((errand, answer))
        self._call()
        return await answer

    async def _do(self, errand: Callable[[], Awaitable[Any]], answer: asyncio.Future[Any]) -> None:
        if answer.done():
            return  # its caller has left
        try:
            result = await errand()
        except BaseException as raised:
            if not answer.done():
                answer.set_exception(failure_of_errand(self.name, raised))
            if not isinstance(raised, ConfigurationError | NotFound):
                raise
        else:
            if not answer.done():
                answer.set_result(result)

    def _chosen(self, position: int | None) -> list[DeadLetter]:
        if position is None:
            return self.checkpoint.letters.parked()
        letter = self.checkpoint.letters.at(position)
        if letter is None:
            raise NotFound(f"{self.name} has no parked event at position {position}; see dead_letters()")
        return [letter]

    async def _redeliver(self, letter: DeadLetter) -> bool:
        """Deliver a parked event and those behind it, page by page; return whether all succeeded."""
        pages = self._held(letter)
        page: list[Delivered] = await anext(pages, [])
        if not page:  # it is skipped by now
            await self.checkpoint.save(self.checkpoint.position, settled=[letter])
            return True
        while True:
            following: list[Delivered] = await anext(pages, [])
            if not await self._delivery.again(letter, page, following[0] if following else None):
                return False
            if not following:
                return True
            letter, page = moved_to(letter, following[0]), following

    def _held(self, letter: DeadLetter, *, with_itself: bool = True) -> AsyncIterator[list[Delivered]]:
        """Iterate in pages over the parked event and the later events of its lane that were held back behind it."""
        return (
            self._held_of_stream(letter, with_itself) if self._lane is None else self._held_of_lane(letter, with_itself)
        )

    async def _held_of_stream(self, letter: DeadLetter, with_itself: bool) -> AsyncIterator[list[Delivered]]:
        version = letter.version - with_itself
        while True:
            (page,) = await self._store.read_streams([StreamRead(letter.stream, version, _STREAM_PAGE)])
            held = [record for record in page.events if record.position <= self.checkpoint.position]
            events = self._not_left_out(self._log_reader.decoded(held, self._work.event_classes))
            if events:
                yield events
            if page.is_last or len(held) < len(page.events):
                return
            version = held[-1].version

    async def _held_of_lane(self, letter: DeadLetter, with_itself: bool) -> AsyncIterator[list[Delivered]]:
        """Search the whole log for them: the events of a lane that is not a stream are spread over many streams."""
        position = letter.position - with_itself
        while position < self.checkpoint.position:
            found = await self._log_reader.after(position, self._work.event_classes)
            if found.position == position:
                return
            events = [
                one
                for one in self._not_left_out(found.events)
                if one.position <= self.checkpoint.position and self._is_in(letter.stream, one)
            ]
            if events:
                yield events
            position = found.position

    def _is_in(self, name: StreamName, delivered: Delivered) -> bool:
        try:
            return self._lane is not None and self._lane(delivered) == name
        except BaseException as raised:
            let_through(raised)
            return delivered.stream == name  # as ConcurrentDelivery does when the lane is unknown

    def _not_left_out(self, events: Sequence[Delivered]) -> list[Delivered]:
        return [one for one in events if not self.checkpoint.letters.is_left_out(one.position)]
