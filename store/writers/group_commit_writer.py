"""`GroupCommitWriter`: one task that groups waiting appends into batches and commits one batch at a time.

Invariants, true between any two awaits, besides those of a `WriteLoop`:
- requests are committed in the order in which they were enqueued;
- each request that was enqueued and not withdrawn is reported once through `completed`, in order;
- `_flying` is the commit in flight; `_landed` is a commit that has ended and is not yet reported, at most one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from actorium.store.errors import CommitUnknown, Transient
from actorium.store.event_store import Append, AppendBatch, Appended, Snapshot
from actorium.store.log import logger
from actorium.store.raised import repr_of, text_of
from actorium.store.source import Source
from actorium.store.writers.write_loop import WriteLoop, commit_error

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


class AppendsBatches(Protocol):
    """The part of a store that the writer uses."""

    async def append(self, batch: AppendBatch) -> Appended:
        """Write a batch, as `EventStore.append` does."""


R = TypeVar("R", bound=AppendRequest)
_Snapshots = list[tuple[Snapshot, asyncio.Future[None]]]


class WriterStatistics(msgspec.Struct, frozen=True):
    """The writer's counters since it started, and its current queue."""

    batches: int
    events: int
    failed_batches: int
    largest_batch_events: int
    waiting_requests: int


class GroupCommitWriter(WriteLoop, Generic[R]):
    """Commits enqueued requests; `completed(requests, outcome)` is called once per batch, on the loop, in order."""

    def __init__(
        self,
        store: AppendsBatches,
        source: Source,
        completed: Callable[[Sequence[R], Appended | Transient], None],
        *,
        max_batch_events: int,
        max_batch_bytes: int,
    ) -> None:
        super().__init__()
        self._store = store
        self._source = source
        self._completed = completed
        self._max_events = max_batch_events
        self._max_bytes = max_batch_bytes
        self._waiting: deque[R] = deque()
        self._snapshots: _Snapshots = []
        self._landed: _Flight[R] | None = None
        self._flying: _Flight[R] | None = None
        self._bug: Exception | None = None
        self._is_clock_behind = False
        self._batches = self._events = self._failed = self._largest = 0

    def enqueue(self, request: R) -> None:
        """Enqueue an append; its outcome is reported through `completed`."""
        self._waiting.append(request)
        if self._wake is not None:
            self._awaken()

    def save(self, snapshot: Snapshot) -> asyncio.Future[None]:
        """Add a snapshot to the next batch; the future ends when it is durable, or with the error."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._snapshots.append((snapshot, done))
        if self._wake is not None:
            self._awaken()
        return done

    def statistics(self) -> WriterStatistics:
        """Return the writer's counters."""
        return WriterStatistics(self._batches, self._events, self._failed, self._largest, len(self._waiting))

    def give_up(self) -> list[R] | None:
        """End `run` although the store has not finished the commit in flight; return its requests, or None.

        They are reported as CommitUnknown: it is unknown whether they are in the log.
        """
        flight = self._flying
        if flight is None:
            return None
        self._report_landed()
        self._report(flight)
        self._flying = None
        self._abandon()
        return flight.requests

    async def _write_until_cancelled(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self._ending:
                # A failure, of the batch or of one append, is reported before the next batch is gathered, so that what
                # was decided on top of it is withdrawn; a success once the next commit is on its way, so that the
                # store works while the callers wake.
                if self._landed is not None and not (self._has_mail() and self._landed.all_written):
                    self._report_landed()
                if not self._has_mail():
                    await self._sleep()
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
        return bool(self._waiting or self._snapshots)

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
        snapshots, self._snapshots = self._snapshots, []
        return _Flight(requests, snapshots)

    async def _commit(self, flight: _Flight[R]) -> Appended | Transient:
        batch = AppendBatch(
            self._source.now_us(),
            [request.append for request in flight.requests],
            [snapshot for snapshot, _ in flight.snapshots],
        )
        try:
            appended = await self._store.append(batch)
        except asyncio.CancelledError as cancellation:
            return commit_error(cancellation)
        except Exception as error:
            return commit_error(error)
        if appended.recorded_us > batch.recorded_us + _CLOCK_BEHIND_US and not self._is_clock_behind:
            self._warn_of_clock(appended.recorded_us, batch.recorded_us)
        return appended

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


class _Flight(Generic[R]):
    """One commit in flight, with the futures that wait for it."""

    __slots__ = ("outcome", "requests", "snapshots")

    def __init__(self, requests: list[R], snapshots: _Snapshots) -> None:
        self.requests = requests
        self.snapshots = snapshots
        self.outcome: Appended | Transient | None = None

    @property
    def all_written(self) -> bool:
        """Whether every append of the batch is in the log."""
        outcome = self.outcome
        return isinstance(outcome, Appended) and set(map(type, outcome.outcomes)) <= {int}
