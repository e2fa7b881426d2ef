"""`GroupCommitWriter`: groups waiting appends into batches and commits one batch at a time.

It is a state machine of event loop callbacks, not a task: a task costs a lone caller three more iterations of the loop
per commit.

Invariants, true between any two callbacks:
- at most one commit is in flight. The next batch gathers meanwhile, so batch size follows load and there is no linger
  time to tune;
- while something waits, a commit is in flight, or `_advance` is scheduled, or the writer ends;
- requests are committed in the order in which they were enqueued;
- each request that was enqueued and not withdrawn is reported once through `completed`, in order;
- no caller's cancellation reaches a commit;
- `_flying` is the commit in flight; `_landed` is a commit that has ended and is not yet reported, at most one;
- while `_expects` is set, the last commit is reported, and `_advance` is scheduled after its callers.

Callers in a closed loop send again as soon as they have their replies. If the next commit began before that, they would
form two groups that never meet, such as one caller and ninety-nine, and need twice as many commits. So after a commit,
if no more than its size is waiting, the writer waits for its callers: it reports first, and begins the next commit in
the next iteration of the loop. When fewer than half of them have sent again by then, it begins at once for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import anyio
import msgspec

from actorium.store.errors import CommitUnknown, Transient
from actorium.store.event_store import Append, AppendBatch, Appended, Snapshot
from actorium.store.events import EncodedEvent
from actorium.store.log import logger
from actorium.store.raised import repr_of, text_of
from actorium.store.source import Source
from actorium.store.writers.commit_error import commit_error
from actorium.store.writers.flight import Flight, Snapshots

log = logger("actorium.store")

# Small clock corrections are normal and not worth a warning.
_CLOCK_BEHIND_US = 60_000_000
# After callers did not return, the number of commits until the writer next tries to wait for them. An attempt in vain
# delays the commands that wait by one iteration of the loop.
_ATTEMPT_EVERY = 32


class AppendRequest(Append, gc=True, kw_only=True, eq=False):
    """An append that waits for the writer.

    size_bytes: the size of its events with their metadata.
    withdrawn: it is not written and not reported; set by `GroupCommitWriter.withdraw`.
    """

    size_bytes: int
    withdrawn: bool = False


_events_of: Callable[[Append], Sequence[EncodedEvent]] = attrgetter("events")
_size_bytes_of: Callable[[AppendRequest], int] = attrgetter("size_bytes")


class AppendsBatches(Protocol):
    """The part of a store that the writer uses."""

    def append(self, batch: AppendBatch) -> Awaitable[Appended]:
        """Write a batch, as `EventStore.append` does."""


R = TypeVar("R", bound=AppendRequest)


class WriterStatistics(msgspec.Struct, frozen=True):
    """The writer's counters since it started, and its current queue."""

    batches: int
    events: int
    failed_batches: int
    largest_batch_events: int
    waiting_requests: int


class GroupCommitWriter(Generic[R]):
    """Commits enqueued requests.

    completed: called with the requests and the outcome of each batch, on the loop, in order.
    resume: called at the end of a callback of the loop, after `completed`. It may resume callers, who may enqueue.
    wake: called after that, and may resume those who follow the log. It is called before the next commit of a lone
        caller begins: a thread that starts meanwhile would have to wait for the interpreter lock.
    """

    def __init__(
        self,
        store: AppendsBatches,
        source: Source,
        completed: Callable[[Sequence[R], Appended | Transient], None],
        resume: Callable[[], None],
        wake: Callable[[], None],
        *,
        max_batch_events: int,
        max_batch_bytes: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # that of the runtime, not of the caller whose command begins a commit
        self._store = store
        self._source = source
        self._completed = completed
        self._resume = resume
        self._wake = wake
        self._max_events = max_batch_events
        self._max_bytes = max_batch_bytes
        self._waiting: list[R] = []
        self._snapshots: Snapshots = []
        self._flying: Flight[R] | None = None
        self._landed: Flight[R] | None = None
        self._is_busy = False  # a commit is in flight, or `_advance` is scheduled
        self._expects = 0  # the number of requests that must wait for the callers of the last commit to have returned
        self._attempt_in = 0  # commits until it next waits for callers
        self._has_withdrawn = self._is_ending = self._is_clock_behind = False
        self._bug: asyncio.Future[None] = self._loop.create_future()
        self._idle: asyncio.Future[None] | None = None
        self._batches = self._events = self._failed = self._largest = 0

    # --- the queue ------------------------------------------------------------------------------------------------

    def enqueue(self, request: R) -> None:
        """Enqueue an append; its outcome is reported through `completed`."""
        self._waiting.append(request)
        if not self._is_busy:
            self._schedule()

    def save(self, snapshot: Snapshot) -> asyncio.Future[None]:
        """Add a snapshot to the next batch; the future ends when it is durable, or with the error."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._snapshots.append((snapshot, done))
        if not self._is_busy:
            self._schedule()
        return done

    def withdraw(self, request: R) -> None:
        """Do not write a request; it is not in flight, and it is not reported."""
        request.withdrawn = self._has_withdrawn = True

    def is_in_flight(self, request: R) -> bool:
        """Return whether the store was asked to write a request, and its outcome is not reported yet."""
        return any(flight is not None and flight.holds(request) for flight in (self._landed, self._flying))

    def statistics(self) -> WriterStatistics:
        """Return the writer's counters."""
        return WriterStatistics(self._batches, self._events, self._failed, self._largest, len(self._waiting))

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit until cancelled, then report the commit in flight; raise a bug in `completed`."""
        try:
            await asyncio.shield(self._bug)
        finally:
            self._is_ending = True
            with anyio.CancelScope(shield=True):
                while self._flying is not None and self._is_busy:
                    await self._becomes_idle()

    async def drained(self) -> None:
        """Return when nothing waits and nothing is in flight."""
        while self._is_busy:
            await self._becomes_idle()

    def give_up(self) -> list[R] | None:
        """Let `run` end although the store has not finished the commit in flight; return its requests, or None.

        They are reported as CommitUnknown: it is unknown whether they are in the log.
        """
        flight = self._flying
        if flight is None:
            return None
        if not self._bug.done():
            self._report_landed()
            self._report(flight)
        self._flying = None
        flight.landing.cancel()
        self._rest()
        self._resume()
        self._loop.call_soon(self._wake, context=self._context)  # this is a task
        return flight.requests

    async def _becomes_idle(self) -> None:
        if self._idle is None:
            self._idle = self._loop.create_future()
        await asyncio.shield(self._idle)

    def _rest(self) -> None:
        self._is_busy = False
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    # --- commits --------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        self._loop.call_soon(self._advance, context=self._context)
        self._is_busy = True

    def _advance(self, landing: object = None) -> None:
        """Take the outcome of a commit that has landed, and begin the next one; called by the loop."""
        self._work()
        rests = landing is not None and not self._is_busy
        self._is_busy = self._is_busy or rests
        try:
            self._resume()
        finally:
            self._wake()
            if self._expects:
                self._loop.call_soon(self._advance, context=self._context)  # after the turns of resumed callers
            elif rests:
                has_mail = self._waiting or self._snapshots
                self._work()  # what a lone caller decided when it was resumed is committed at once
                if has_mail and not self._is_busy:
                    self._loop.call_soon(self._resume, context=self._context)

    def _work(self) -> None:
        if self._expects:
            if len(self._waiting) < self._expects:
                self._attempt_in = _ATTEMPT_EVERY
            self._expects = 0
        try:
            while (flight := self._flying or self._begin()) is not None and not self._bug.done():
                if not flight.landing.done():
                    return  # it calls `_advance`
                if self._landed is not None:
                    self._report_landed()
                flight.outcome = self._outcome_of(flight)
                self._landed, self._flying = flight, None
                # A failure, of the batch or of one append, is reported before the next batch is gathered, so that what
                # was decided on top of it is withdrawn; a success once the next commit is on its way, so that the
                # store works while the callers wake.
                has_mail = self._waiting or self._snapshots
                following = None
                if has_mail and flight.all_written:
                    if self._waits_for_callers(flight):
                        self._report_landed()
                        return
                    following = self._begin()
                if following is not None and isinstance(following.landing, asyncio.Task):
                    # After the first step of that task.
                    self._loop.call_soon(self._report_meanwhile, context=self._context)
                else:
                    self._report_landed()
        except Exception as bug:
            self._end_with(bug)
            if self._flying is not None:
                return
        self._rest()

    def _waits_for_callers(self, flight: Flight[R]) -> bool:
        """Return whether to report a commit before the next one begins, so that its callers can be part of that."""
        waiting, landed = len(self._waiting), len(flight.requests)
        if waiting > landed:
            return False
        if self._attempt_in:
            self._attempt_in -= 1
            return False
        self._expects = waiting + max(1, landed // 2)
        return True

    def _begin(self) -> Flight[R] | None:
        """Begin a commit of what waits, if anything does."""
        if self._is_ending or not (self._waiting or self._snapshots):
            return None
        self._flying = flight = self._gather()
        snapshots = [snapshot for snapshot, _ in flight.snapshots] if flight.snapshots else ()
        batch = AppendBatch(flight.began_us, flight.requests, snapshots)
        landing: Awaitable[Appended]
        try:
            landing = self._store.append(batch)
            if not isinstance(landing, asyncio.Future):
                landing = asyncio.ensure_future(landing)
        except Exception as error:  # from a method that is not a coroutine
            landing = self._loop.create_future()
            landing.set_exception(error)
        flight.landing = landing
        if not landing.done():
            landing.add_done_callback(self._advance, context=self._context)
        return flight

    def _gather(self) -> Flight[R]:
        assert self._flying is None, "at most one commit is in flight"
        requests, self._waiting = self._waiting, []
        if self._has_withdrawn:
            self._has_withdrawn = False
            requests = [request for request in requests if not request.withdrawn]
        events = sum(map(len, map(_events_of, requests)))
        if events > self._max_events or sum(map(_size_bytes_of, requests)) > self._max_bytes:
            count, events = self._fitting(requests)
            self._waiting = requests[count:]
            del requests[count:]
        self._batches += 1
        self._events += events
        self._largest = max(self._largest, events)
        snapshots, self._snapshots = self._snapshots, []
        return Flight(requests, snapshots, self._source.now_us())

    def _fitting(self, requests: Sequence[R]) -> tuple[int, int]:
        """Return how many of the first requests reach a limit of a batch, and the number of their events."""
        events = size_bytes = 0
        for count, request in enumerate(requests):
            if events >= self._max_events or size_bytes >= self._max_bytes:
                return count, events
            events += len(request.events)
            size_bytes += request.size_bytes
        return len(requests), events

    def _outcome_of(self, flight: Flight[R]) -> Appended | Transient:
        landing = flight.landing
        if landing.cancelled():
            return CommitUnknown("the commit was cancelled by the store")
        error = landing.exception()
        if error is not None:
            return commit_error(error)
        appended = landing.result()
        if appended.recorded_us > flight.began_us + _CLOCK_BEHIND_US and not self._is_clock_behind:
            self._warn_of_clock(appended.recorded_us, flight.began_us)
        return appended

    def _warn_of_clock(self, log_us: int, clock_us: int) -> None:
        self._is_clock_behind = True
        log.warning(
            "clock_behind_log",
            behind_s=(log_us - clock_us) // 1_000_000,
            advice="the clock went back, or was ahead when the log was written: correct it; until it reaches the time "
            "of the last event, new events carry that time, and timers that were set while it was ahead fire late",
        )

    # --- reports --------------------------------------------------------------------------------------------------

    def _report_meanwhile(self) -> None:
        """Report the last commit while the next one runs."""
        try:
            self._report_landed()
        except Exception as bug:
            self._end_with(bug)
        self._resume()
        self._wake()

    def _end_with(self, bug: Exception) -> None:
        """End `run` with a bug in `completed`; what it has not taken counts as in flight."""
        self._is_ending = True
        if not self._bug.done():
            self._bug.set_exception(bug)

    def _report_landed(self) -> None:
        if self._landed is not None:
            self._report(self._landed)
            self._landed = None

    def _report(self, flight: Flight[R]) -> None:
        outcome = flight.outcome or CommitUnknown(
            "the commit has not ended: it is unknown whether it is in the log; send its commands again with the same "
            "command_id"
        )
        failure = None if isinstance(outcome, Appended) else outcome
        if failure is not None:
            self._failed += 1
            log.error(
                "commit_failed", appends=len(flight.requests), error=text_of(failure), cause=repr_of(failure.__cause__)
            )
        for _, saved in flight.snapshots:
            if saved.done():
                continue
            if failure is not None:
                saved.set_exception(failure)
            else:
                saved.set_result(None)
        if flight.requests:
            self._completed(flight.requests, outcome)
