"""`GroupCommitWriter`: one task that turns waiting appends into batches and commits one batch at a time.

Invariants, true between any two awaits:

- at most one commit is in flight; the next batch gathers itself meanwhile, so batch size follows load and there is
  no linger time to tune;
- requests are committed in the order in which they were enqueued;
- each request that was enqueued and not withdrawn is reported once through `completed`, in order;
- only this task calls `store.commit`; no caller's cancellation reaches it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import anyio
import msgspec

from actorium.store.errors import StoreError, StoreUnavailable
from actorium.store.event_store import Append, Batch, Committed, EventStore, SaveCheckpoint, Snapshot
from actorium.store.log import logger
from actorium.store.source import Source

log = logger("actorium.store")


class AppendRequest(Protocol):
    """What waits for the writer: an append, whether its owner took it back, and whether it was gathered by then."""

    append: Append
    withdrawn: bool
    in_flight: bool


R = TypeVar("R", bound=AppendRequest)
Extra = SaveCheckpoint | Snapshot


class WriterStatistics(msgspec.Struct, frozen=True):
    """What the writer has done since it started, and what waits for it now."""

    batches: int
    events: int
    failed_batches: int
    largest_batch_events: int
    waiting_requests: int


class GroupCommitWriter(Generic[R]):
    """Commits what is enqueued; `completed(requests, outcome)` is called once per batch, on the loop, in order."""

    def __init__(
        self,
        store: EventStore,
        source: Source,
        completed: Callable[[Sequence[R], Committed | StoreError], None],
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
        self._extras: deque[tuple[Extra, asyncio.Future[None]]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches = self._events = self._failed = self._largest = 0

    def enqueue(self, request: R) -> None:
        """Take an append request; its outcome comes through `completed`."""
        self._waiting.append(request)
        if self._wake is not None:
            self._awaken()

    def save(self, extra: Extra) -> asyncio.Future[None]:
        """Put a checkpoint or a snapshot into the next batch; the future ends when it is durable, or with the error."""
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
        """Commit batches until cancelled; a commit in flight is finished and reported first."""
        loop = asyncio.get_running_loop()
        done: _Flight[R] | None = None
        while True:
            # A failure, of the batch or of one append, is reported before the next batch is gathered, so that what was
            # decided on top of it is withdrawn; a success afterwards, so that the store works while the callers wake.
            if done is not None and (not done.all_written or not self._has_mail()):
                self._report(done)
                done = None
            if not self._has_mail():
                self._idle.set()
                self._wake = loop.create_future()
                await self._wake
            flight = self._take_off()
            if done is not None:
                self._report(done)
            done = flight
            try:
                await flight.land()
            except asyncio.CancelledError:
                self._report(flight)
                raise

    def _has_mail(self) -> bool:
        return bool(self._waiting or self._extras)

    def _take_off(self) -> _Flight[R]:
        requests = self._gather()
        extras = [self._extras.popleft() for _ in range(len(self._extras))]
        batch = Batch(
            self._source.now_us(),
            [request.append for request in requests],
            [extra for extra, _ in extras if isinstance(extra, SaveCheckpoint)],
            [extra for extra, _ in extras if isinstance(extra, Snapshot)],
        )
        return _Flight(requests, extras, asyncio.ensure_future(self._store.commit(batch)))

    def _gather(self) -> list[R]:
        waiting = self._waiting
        requests: list[R] = []
        events = size_bytes = 0
        while waiting and events < self._max_events and size_bytes < self._max_bytes:
            request = waiting.popleft()
            if request.withdrawn:
                continue
            request.in_flight = True
            requests.append(request)
            for event in request.append.events:
                events += 1
                size_bytes += len(event.payload) + len(event.metadata)
        self._batches += 1
        self._events += events
        self._largest = max(self._largest, events)
        return requests

    def _report(self, flight: _Flight[R]) -> None:
        outcome = flight.outcome
        if isinstance(outcome, StoreError):
            self._failed += 1
            log.error("commit_failed", appends=len(flight.requests), error=str(outcome), cause=repr(outcome.__cause__))
        checkpoint = -1
        for extra, saved in flight.extras:
            error = outcome if isinstance(outcome, StoreError) else None
            if isinstance(extra, SaveCheckpoint):
                checkpoint += 1
                if error is None and not isinstance(outcome, StoreError):
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
    """One commit on its way, with those who wait for it."""

    __slots__ = ("_commit", "extras", "outcome", "requests")

    def __init__(
        self, requests: list[R], extras: list[tuple[Extra, asyncio.Future[None]]], commit: asyncio.Future[Committed]
    ) -> None:
        self.requests = requests
        self.extras = extras
        self.outcome: Committed | StoreError = StoreUnavailable("the commit has not ended")
        self._commit = commit

    async def land(self) -> None:
        """Wait for the commit's end, also through a cancellation, which is raised when it has ended."""
        try:
            await asyncio.wait((self._commit,))
        except asyncio.CancelledError:
            # Shielded: anyio delivers a cancellation again at each step of the loop, which would spin until the end.
            with anyio.CancelScope(shield=True):
                await asyncio.wait((self._commit,))
            raise
        finally:
            if self._commit.done():
                self.outcome = _outcome(self._commit)

    @property
    def all_written(self) -> bool:
        """Whether every append of the batch is in the log."""
        outcome = self.outcome
        return not isinstance(outcome, StoreError) and all(type(one) is int for one in outcome.outcomes)


def _outcome(commit: asyncio.Future[Committed]) -> Committed | StoreError:
    if commit.cancelled():
        return StoreUnavailable("the commit was cancelled by the store")
    error = commit.exception()
    if error is None:
        return commit.result()
    if isinstance(error, StoreError):
        return error
    unavailable = StoreUnavailable(f"the store failed in a way it does not name: {error!r}")
    unavailable.__cause__ = error
    return unavailable
