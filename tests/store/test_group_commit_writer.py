"""The writer begins the next commit without an iteration of the loop between them, if the store takes time."""

import asyncio
from collections.abc import Sequence
from typing import Any

from support.virtual_time import settled, virtual

from actorium.store.event_store import AppendBatch, Appended
from actorium.store.source import SeededSource
from actorium.store.writers.group_commit_writer import _HALVED_FROM, AppendRequest, GroupCommitWriter
from actorium.store.writers.prompt_future import PromptFuture
from actorium.testing.contract_words import ALICE, append


class Store:
    """Commits a batch when it is told to, or immediately."""

    def __init__(self, *, takes_time: bool) -> None:
        self.takes_time = takes_time
        self.batches = 0
        self.landing: PromptFuture[Appended] | None = None

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        self.batches += 1
        landing: PromptFuture[Appended] = PromptFuture(asyncio.get_running_loop())
        if self.takes_time:
            self.landing = landing
        else:
            landing.set_result(Appended([self.batches], 0))
        return landing


class LoneCaller:
    """Enqueues its next request when it is resumed after the last one, until there were `limit`."""

    def __init__(self, store: Store, limit: int) -> None:
        self.limit = limit
        self.sent = self.committed = 0
        self.is_told = False
        self.store = store
        self.begun_at_wakes: list[int] = []  # the number of commits that had begun at each wake-up
        self.writer: GroupCommitWriter[AppendRequest] = GroupCommitWriter(
            store, SeededSource(), self.note, self.resume, self.wake, max_batch_events=100, max_batch_bytes=1_000_000
        )

    def send(self) -> None:
        one = append(ALICE, self.sent)
        self.sent += 1
        self.writer.enqueue(AppendRequest(one.stream, one.expected_version, one.events, one.command, size_bytes=1))

    def note(self, requests: Sequence[AppendRequest], outcome: Any) -> None:
        self.committed += len(requests)
        self.is_told = True

    def resume(self) -> None:
        if self.is_told and self.sent < self.limit:
            self.is_told = False
            self.send()

    def wake(self) -> None:
        self.begun_at_wakes.append(self.store.batches)


@virtual
async def test_what_a_lone_caller_decides_when_it_is_resumed_is_committed_at_once() -> None:
    store = Store(takes_time=True)
    caller = LoneCaller(store, limit=3)
    caller.send()
    await settled()
    for batch in (1, 2):
        assert store.batches == batch
        assert store.landing is not None
        store.landing.set_result(Appended([batch], 0))
        assert (caller.committed, store.batches) == (batch, batch + 1)
        assert caller.begun_at_wakes[-1] == batch, "those who follow the log are woken in the same callback"
    assert store.landing is not None
    store.landing.set_result(Appended([3], 0))
    await caller.writer.drained()
    assert (caller.committed, store.batches) == (3, 3)


@virtual
async def test_a_lone_caller_lets_the_loop_run_if_a_commit_takes_no_time() -> None:
    store = Store(takes_time=False)
    caller = LoneCaller(store, limit=100)
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        if caller.committed < 100:
            asyncio.get_running_loop().call_soon(count)

    caller.send()
    count()
    await caller.writer.drained()
    await settled()
    assert caller.committed == 100
    assert turns >= 100


@virtual
async def test_a_commit_that_ends_at_once_after_one_that_took_time_is_reported() -> None:
    store = Store(takes_time=True)
    caller = LoneCaller(store, limit=3)
    caller.send()
    await settled()
    store.takes_time = False
    assert store.landing is not None
    store.landing.set_result(Appended([1], 0))
    await settled()
    assert (caller.committed, store.batches) == (3, 3)


class RemoteStore:
    """Commits a batch when it is told to; a batch of callers who each have a stream."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.landing: PromptFuture[Appended] | None = None

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        self.sizes.append(len(batch.appends))
        self.landing = PromptFuture(asyncio.get_running_loop())
        return self.landing

    async def land(self) -> None:
        """End the commit in flight."""
        assert self.landing is not None
        self.landing.set_result(Appended([1] * self.sizes[-1], 0))
        await settled()


class ManyCallers:
    """Each sends its next request as soon as its last one is reported."""

    def __init__(self, *, is_remote: bool) -> None:
        self.store = RemoteStore()
        self.told = 0
        self.writer: GroupCommitWriter[AppendRequest] = GroupCommitWriter(
            self.store,
            SeededSource(),
            self.note,
            self.resume,
            lambda: None,
            max_batch_events=1_000,
            max_batch_bytes=1_000_000,
            is_remote=is_remote,
        )

    def send(self, count: int) -> None:
        one = append(ALICE, 0)
        for _ in range(count):
            self.writer.enqueue(AppendRequest(one.stream, 0, one.events, one.command, size_bytes=1))

    def note(self, requests: Sequence[AppendRequest], outcome: Any) -> None:
        self.told += len(requests)

    def resume(self) -> None:
        told, self.told = self.told, 0
        self.send(told)


@virtual
async def test_the_two_halves_of_many_callers_take_turns_on_a_remote_store() -> None:
    callers = ManyCallers(is_remote=True)
    callers.send(100)
    await settled()
    for commits in range(1, 6):
        assert callers.store.sizes == [50] * commits
        assert callers.writer.statistics().waiting_requests == 50
        await callers.store.land()


@virtual
async def test_many_callers_share_a_commit_of_a_store_in_this_process() -> None:
    callers = ManyCallers(is_remote=False)
    callers.send(100)
    await settled()
    await callers.store.land()
    assert callers.store.sizes == [100, 100]


@virtual
async def test_a_batch_that_is_too_small_to_halve_stays_whole() -> None:
    callers = ManyCallers(is_remote=True)
    callers.send(_HALVED_FROM - 1)
    await settled()
    assert callers.store.sizes == [_HALVED_FROM - 1]
    callers.send(1)  # beside the others: it waits for them, and the next batch is large enough
    await callers.store.land()
    assert callers.store.sizes == [_HALVED_FROM - 1, _HALVED_FROM // 2]
