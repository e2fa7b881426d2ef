"""`GroupCommitWriter`: one task that groups waiting appends into batches and commits one batch at a time.

Invariants, true between any two awaits:
- at most one commit is in flight. The next batch gathers meanwhile, so the batch size follows the load, and there is no
  linger time to tune;
- requests are committed in the order in which they were enqueued;
- each request that was enqueued and not withdrawn is reported once through `completed`, in order;
- only the writer's task calls `store.commit`; no caller's cancellation reaches it;
- `_flying` is the commit in flight; `_landed` is a commit that has ended and is not yet reported, at most one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import anyio
import msgspec

from actorium.store.errors import ActoriumError, CommitUnknown, Transient
from actorium.store.event_store import Append, Batch, Committed, SaveCheckpoint, Snapshot
from actorium.store.log import logger
from actorium.store.raised import repr_of, text_of
from actorium.store.source import Source

log = logger("actorium.store")

# Small clock corrections are normal and not worth a warning.
_CLOCK_BEHIND_US = 60_000_000


class AppendRequest(Protocol):
    """An append that waits for the writer; flags say whether it was withdrawn or gathered into a batch.

    size_bytes: the size of its events with their metadata.
    """

    append: Append
    size_bytes: int
    withdrawn: bool
    in_flight: bool


class CommitsBatches(Protocol):
    """The part of a store that the writer uses."""

    async def commit(self, batch: Batch) -> Committed:
        """Write a batch, as `EventStore.commit` does."""


R = TypeVar("R", bound=AppendRequest)
Extra = SaveCheckpoint | Snapshot


class WriterStatistics(msgspec.Struct, frozen=True):
    """The writer's counters since it started, and its current queue."""

    batches: int
    events: int
    failed_batches: int
    largest_batch_events: int
    waiting_requests: int


class GroupCommitWriter(Generic[R]):
    """Commits enqueued requests; `completed(requests, outcome)` is called once per batch, on the loop, in order."""

    def __init__(
        self,
        store: CommitsBatches,
        source: Source,
        completed: Callable[[Sequence[R], Committed | Transient], None],
        *,
        max_batch_events: int,
        max_batch_bytes: int,
    ) -> None:
        self._store = store
        self._source = source
        self._completed = completed
        self._max_events = max_batch_events
        self._max_bytes = max_batch_bytes
        self._waiting: deque[R] = deque()
        self._extras: list[tuple[Extra, asyncio.Future[None]]] = []
        self._landed: _Flight[R] | None = None
        self._flying: _Flight[R] | None = None
        self._work: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()
        self._bug: Exception | None = None
        self._ending = self._is_clock_behind = False
        self._wake: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches = self._events = self._failed = self._largest = 0

    def enqueue(self, request: R) -> None:
        """Enqueue an append; its outcome is reported through `completed`."""
        self._waiting.append(request)
        if self._wake is not None:
            self._awaken()

    def save(self, extra: Extra) -> asyncio.Future[None]:
        """Add a checkpoint or a snapshot to the next batch; the future ends when it is durable, or with the error."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._extras.append((extra, done))
        if self._wake is not None:
            self._awaken()
        return done

    def _awaken(self) -> None:
        wake, self._wake = self._wake, None
        self._idle.clear()
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def drained(self) -> None:
        """Return when nothing waits and nothing is in flight."""
        while self._has_mail() or not self._idle.is_set():
            await self._idle.wait()

    def statistics(self) -> WriterStatistics:
        """Return the writer's counters."""
        return WriterStatistics(self._batches, self._events, self._failed, self._largest, len(self._waiting))

    async def run(self) -> None:
        """Commit batches until cancelled; a commit in flight is first finished and reported."""
        # The work runs in its own task, out of reach of cancel scopes, so it awaits the store directly. A guarded task
        # per commit would cost a lone caller three more iterations of the loop.
        work = self._work = asyncio.get_running_loop().create_task(self._commit_batches())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._ending = True
            self._awaken()
            with anyio.CancelScope(shield=True):
                given_up = asyncio.ensure_future(self._given_up.wait())
                await asyncio.wait((work, given_up), return_when=asyncio.FIRST_COMPLETED)
                given_up.cancel()
            raise

    def give_up(self) -> list[R] | None:
        """End `run` although the store has not finished the commit in flight; return its requests, or None.

        They are reported as CommitUnknown: it is unknown whether they are in the log.
        """
        flight = self._flying
        if flight is None or self._work is None:
            return None
        self._report_landed()
        self._report(flight)
        self._flying = None
        self._work.cancel()
        self._given_up.set()
        return flight.requests

    async def _commit_batches(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self._ending:
                # A failure, of the batch or of one append, is reported before the next batch is gathered, so that what
                # was decided on top of it is withdrawn; a success once the next commit is on its way, so that the
                # store works while the callers wake.
                if self._landed is not None and not (self._has_mail() and self._landed.all_written):
                    self._report_landed()
                if not self._has_mail():
                    self._idle.set()
                    self._wake = loop.create_future()
                    await self._wake
                    continue
                flight = self._flying = self._gather()
                if self._landed is not None:
                    loop.call_soon(self._report_meanwhile)
                try:
                    flight.outcome = await self._commit(flight)
                finally:
                    self._report_landed()
                    assert self._landed is None, "a commit has landed before the last one was reported"
                    if self._flying is flight:  # otherwise it was abandoned and already reported
                        self._landed, self._flying = flight, None
                if self._bug is not None:
                    raise self._bug
        finally:
            self._report_landed()

    def _has_mail(self) -> bool:
        return bool(self._waiting or self._extras)

    def _gather(self) -> _Flight[R]:
        assert self._flying is None, "at most one commit is in flight"
        waiting = self._waiting
        requests: list[R] = []
        events = size_bytes = 0
        while waiting and events < self._max_events and size_bytes < self._max_bytes:
            request = waiting.popleft()
            if request.withdrawn:
                continue
            request.in_flight = True
            requests.append(request)
            events += len(request.append.events)
            size_bytes += request.size_bytes
        self._batches += 1
        self._events += events
        self._largest = max(self._largest, events)
        extras, self._extras = self._extras, []
        return _Flight(requests, extras)

    async def _commit(self, flight: _Flight[R]) -> Committed | Transient:
        extras = flight.extras
        batch = Batch(
            self._source.now_us(),
            [request.append for request in flight.requests],
            [extra for extra, _ in extras if isinstance(extra, SaveCheckpoint)],
            [extra for extra, _ in extras if isinstance(extra, Snapshot)],
        )
        try:
            committed = await self._store.commit(batch)
            if committed.recorded_us > batch.recorded_us + _CLOCK_BEHIND_US and not self._is_clock_behind:
                self._warn_of_clock(committed.recorded_us, batch.recorded_us)
            return committed
        except Transient as error:
            return error
        except asyncio.CancelledError:
            work = asyncio.current_task()
            if work is not None and work.cancelling():
                raise  # the loop itself is shutting down
            return CommitUnknown("the commit was cancelled by the store")
        except Exception as error:
            unknown = CommitUnknown(f"the store raised an unexpected error: {repr_of(error)}")
            unknown.__cause__ = error
            return unknown

    def _warn_of_clock(self, log_us: int, clock_us: int) -> None:
        self._is_clock_behind = True
        log.warning(
            "clock_behind_log",
            behind_s=(log_us - clock_us) // 1_000_000,
            advice="the clock went back, or was ahead when the log was written: set it right; until it reaches the "
            "time of the last event, new events get that time, and timers set while it was ahead fire late",
        )

    def _report_meanwhile(self) -> None:
        """Report the last commit while the next one runs; a bug in `completed` ends the writer."""
        try:
            self._report_landed()
        except Exception as bug:
            self._bug = bug

    def _report_landed(self) -> None:
        flight, self._landed = self._landed, None
        if flight is not None:
            self._report(flight)

    def _report(self, flight: _Flight[R]) -> None:
        outcome = flight.outcome or CommitUnknown(
            "the commit has not ended: it is unknown whether it is in the log; send its commands again with the same "
            "command_id"
        )
        failure = None if isinstance(outcome, Committed) else outcome
        if failure is not None:
            self._failed += 1
            log.error(
                "commit_failed", appends=len(flight.requests), error=text_of(failure), cause=repr_of(failure.__cause__)
            )
        checkpoint = -1
        for extra, saved in flight.extras:
            error: ActoriumError | None = failure
            if isinstance(extra, SaveCheckpoint):
                checkpoint += 1
                if isinstance(outcome, Committed):
                    error = outcome.failed_checkpoints.get(checkpoint)
            if saved.done():
                continue
            if error is not None:
                saved.set_exception(error)
            else:
                saved.set_result(None)
        if flight.requests:
            self._completed(flight.requests, outcome)


class _Flight(Generic[R]):
    """One commit in flight, with the futures that wait for it."""

    __slots__ = ("extras", "outcome", "requests")

    def __init__(self, requests: list[R], extras: list[tuple[Extra, asyncio.Future[None]]]) -> None:
        self.requests = requests
        self.extras = extras
        self.outcome: Committed | Transient | None = None

    @property
    def all_written(self) -> bool:
        """Whether every append of the batch is in the log."""
        outcome = self.outcome
        return isinstance(outcome, Committed) and set(map(type, outcome.outcomes)) <= {int}
