"""`Processor`: what drives projections, reactions and sagas along the log.

Invariants: one task per processor; events are delivered in the order of the log, each stream's in its order; the
checkpoint moves without a hole; what a person asks of a processor (reset, retry, discard) is done by its own task,
between two pages, never beside one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import structlog

from actorium.runtime.dead_letters import place_of
from actorium.runtime.delivery import Delivery
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.feed import Delivered, Feed, Unread
from actorium.runtime.ledger import Ledger
from actorium.runtime.retry import Retry, TryLater
from actorium.store.errors import ConfigurationError, StoreError
from actorium.store.event_store import DeadLetter, EventStore, StreamRead
from actorium.store.events import Event, StreamName
from actorium.store.source import Source

log = structlog.get_logger("actorium.runtime")

# A store that is away is asked again for ever: nothing else can be done, and it is cheap.
_STORE_RETRY = Retry(attempts=1, backoff_s=0.1, backoff_max_s=5.0)
_STREAM_PAGE = 1_000


class Work(Protocol):
    """What a processor needs of the projection or reaction it drives."""

    event_classes: frozenset[type[Event]]

    async def prepare(self) -> None:
        """Make ready what it writes to, and bring the ledger to the position to begin after."""

    async def caught_up(self) -> None:
        """Be told, each time, that everything there is was handled."""

    async def reset(self) -> None:
        """Begin anew from the first event."""


class ProcessorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How a processor stands: `state` is starting, running, paused, waiting or stopped.

    It waits for the store, or for the sink of an outbox; `error` says why.
    """

    name: str
    state: str
    position: int
    lag_events: int
    lag_s: float
    handled: int
    parked: int
    error: str


class Processor:
    """The way of one handler along the log; `runtime.processor(Balances)` gives it to a person who has to act."""

    def __init__(
        self,
        work: Work,
        delivery: Delivery,
        ledger: Ledger,
        feed: Feed,
        store: EventStore,
        source: Source,
        *,
        poll_s: float,
        lane: Callable[[Delivered], StreamName] | None = None,
    ) -> None:
        self.name = ledger.name
        self.ledger = ledger
        self._work = work
        self._delivery = delivery
        self._feed = feed
        self._store = store
        self._source = source
        self._poll_s = poll_s
        self._lane = lane
        self._state = "starting"
        self._error = ""
        self._handled = 0
        self._behind_since_us = 0
        self._paused = False
        self._looks = True
        self._called: asyncio.Future[None] | None = None
        self._errands: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()

    # --- for a person ---------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Deliver nothing more after the page under way, until `resume`. Not kept over a restart."""
        self._paused = True

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._paused = False
        self._call()

    async def reset(self) -> None:
        """Begin anew from the first event: a projection is emptied, a reaction treats what it did as a replay."""
        await self._have_done(self._work.reset)

    def dead_letters(self, *, discarded: bool = False) -> list[DeadLetter]:
        """Return the events that are parked now (or those that were discarded), in the order of the log."""
        letters = self.ledger.letters
        return letters.discarded() if discarded else letters.parked()

    async def retry(self, position: int | None = None) -> int:
        """Deliver a parked event and those behind it again (None: all, in order); return how many are over."""

        async def retry() -> int:
            done = 0
            for letter in self._chosen(position):
                done += await self._delivery.again(letter, await self._behind(letter))
            return done

        return int(await self._have_done(retry))

    async def discard(self, position: int, reason: str) -> bool:
        """Give a parked event up, for a reason that is kept, and deliver those behind it; say whether all could be."""
        if not reason.strip():
            raise ConfigurationError(f"{self.name}: a reason is kept with what is discarded; give one")

        async def discard() -> bool:
            (letter,) = self._chosen(position)
            given_up = msgspec.structs.replace(letter, discarded=reason)
            behind = [one for one in await self._behind(letter) if place_of(one)[1] > position]
            self.ledger.letters.settle(letter)
            await self.ledger.save(self.ledger.position, parked=[given_up])
            return await self._delivery.again(None, behind)

        return bool(await self._have_done(discard))

    def statistics(self) -> ProcessorStatistics:
        """Return where the processor stands."""
        lag_events = max(0, self._feed.tail.position - self.ledger.position)
        lag_us = self._source.now_us() - self._behind_since_us if lag_events and self._behind_since_us else 0
        return ProcessorStatistics(
            name=self.name,
            state="paused" if self._paused else self._state,
            position=self.ledger.position,
            lag_events=lag_events,
            lag_s=max(0, lag_us) / 1_000_000,
            handled=self._handled,
            parked=len(self.ledger.letters),
            error=self._error,
        )

    # --- the task -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the log until cancelled."""
        attempt = 0
        tried_at = -1
        prepared = False
        try:
            while True:
                try:
                    if not prepared:
                        await self._work.prepare()
                        prepared = True
                    await self._step()
                    attempt, self._error = 0, ""
                except (StoreError, TryLater) as error:
                    attempt = attempt + 1 if self.ledger.position == tried_at else 1
                    tried_at = self.ledger.position
                    retry = error.retry if isinstance(error, TryLater) else _STORE_RETRY
                    self._state, self._error = "waiting", f"{type(error).__name__}: {error}"
                    log.warning("processor_waits", processor=self.name, error=self._error, attempt=attempt)
                    await self._wait(timeout_s=retry.wait_s(attempt, self._source))
        finally:
            self._state = "stopped"
            closed = RuntimeClosed(f"the processor {self.name} has stopped")
            self.ledger.close(closed)
            for _, answer in self._errands:
                if not answer.done():
                    answer.set_exception(closed)

    async def _step(self) -> None:
        while self._errands:
            await self._do(*self._errands.popleft())
        if self._paused:
            await self._wait()
            return
        self._state = "running"
        position = self.ledger.position
        if self._feed.tail.position > position or self._looks:
            self._looks = False
            found = await self._feed.after(position, self._work.event_classes)
            if found.position > position:
                if found.events:
                    self._behind_since_us = _recorded_us(found.events[0])
                await self._delivery.page(found.events, found.position)
                self._handled += len(found.events)
                return
        await self._work.caught_up()
        if self._feed.tail.position <= position:
            # Nobody came, nobody called: look by oneself, a notification may have been lost.
            self._looks = await self._wait(self._feed.tail.moved())

    async def _wait(self, *moved: asyncio.Future[None], timeout_s: float | None = None) -> bool:
        """Wait until somebody calls or the log has moved; say whether neither happened for `poll_s` seconds."""
        if self._errands:
            return False
        self._called = asyncio.get_running_loop().create_future()
        waited = (self._called, *moved)
        done, _ = await asyncio.wait(waited, timeout=timeout_s or self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        return not done

    def _call(self) -> None:
        if self._called is not None and not self._called.done():
            self._called.set_result(None)

    async def _have_done(self, errand: Callable[[], Awaitable[Any]]) -> Any:
        if self._state == "stopped":
            raise RuntimeClosed(f"the processor {self.name} has stopped")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._errands.append((errand, answer))
        self._call()
        return await answer

    async def _do(self, errand: Callable[[], Awaitable[Any]], answer: asyncio.Future[Any]) -> None:
        try:
            result = await errand()
        except asyncio.CancelledError:
            if not answer.done():
                answer.set_exception(RuntimeClosed(f"the processor {self.name} has stopped"))
            raise
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(result)

    def _chosen(self, position: int | None) -> list[DeadLetter]:
        if position is None:
            return self.ledger.letters.parked()
        letter = self.ledger.letters.at(position)
        if letter is None:
            raise ConfigurationError(f"{self.name} has nothing parked at position {position}; see dead_letters()")
        return [letter]

    async def _behind(self, letter: DeadLetter) -> list[Delivered]:
        """Return the parked event and the later ones of its lane that were held back behind it."""
        if self._lane is not None:
            return await self._behind_in_lane(letter, self._lane)
        events: list[Delivered] = []
        version = letter.version - 1
        while True:
            page = (await self._store.read_streams([StreamRead(letter.stream, version, _STREAM_PAGE)]))[0].events
            held = [record for record in page if record.position <= self.ledger.position]
            events += self._feed.decoded(held, self._work.event_classes)
            if len(held) < _STREAM_PAGE:
                return events
            version = held[-1].version

    async def _behind_in_lane(self, letter: DeadLetter, lane: Callable[[Delivered], StreamName]) -> list[Delivered]:
        """Find them in the whole log: the events of a lane that is no stream lie in many streams."""
        events: list[Delivered] = []
        position = letter.position - 1
        while position < self.ledger.position:
            found = await self._feed.after(position, self._work.event_classes)
            if found.position == position:
                break
            events += [
                one for one in found.events if place_of(one)[1] <= self.ledger.position and lane(one) == letter.stream
            ]
            position = found.position
        return events


def _recorded_us(delivered: Delivered) -> int:
    return delivered.record.recorded_us if isinstance(delivered, Unread) else delivered.recorded_us
