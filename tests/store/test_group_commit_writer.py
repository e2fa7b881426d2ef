"""The writer begins the next commit without an iteration of the loop between them, if the store takes time."""

import asyncio
from collections.abc import Sequence
from typing import Any

from support.virtual_time import settled, virtual

from actorium.store.event_store import AppendBatch, Appended
from actorium.store.source import SeededSource
from actorium.store.writers.group_commit_writer import AppendRequest, GroupCommitWriter
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
