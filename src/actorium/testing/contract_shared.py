"""`SharedStoreContract`: the guarantees of every store whose log several processes can open.

class TestMySharedStore(SharedStoreContract):
    @pytest.fixture
    def logs(self) -> SharedLogs:
        return MyLogs()
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, Protocol, TypeVar

from actorium.store.errors import Fenced, StoreInUse
from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.shared import SharedStore
from actorium.testing.contract_words import ALICE, append, expect, raises, versions

Suite = TypeVar("Suite")
Logs = TypeVar("Logs", bound="Closes")

Arrival = Callable[[], Awaitable[Any]]
"""Lets a statement that was sent arrive at the log."""


class Closes(Protocol):
    """Stores on one log."""

    async def close(self) -> None:
        """Close all stores."""
        ...


class SharedLogs(Protocol):
    """What an adapter implements for `SharedStoreContract`: it creates stores on one new log and makes them fail."""

    def store(self, name: str = "", *, waits: bool = False) -> SharedStore:
        """Return a store on the log; `waits`: its `open` waits while another store holds the log."""
        ...

    async def kill(self, store: SharedStore) -> None:
        """End the process of an open store: its connections are gone, and nothing is given back."""
        ...

    async def freeze(self, store: SharedStore) -> None:
        """Suspend the process of an open store, so that its lease runs out."""
        ...

    async def sent(self, store: SharedStore, batch: AppendBatch) -> Arrival:
        """Return an append that an open store sends now and that arrives later."""
        ...

    async def sent_save(self, store: SharedStore, checkpoints: Sequence[SaveCheckpoint]) -> Arrival:
        """Return a save that an open store sends now and that arrives later."""
        ...

    async def close(self) -> None:
        """Close all stores."""
        ...


def with_logs(test: Callable[[Suite, Logs], Awaitable[None]]) -> Callable[[Suite, Logs], None]:
    """Turn an async test into a sync one, which runs in its own event loop and closes the stores afterwards."""

    @wraps(test)
    def run(self: Suite, logs: Logs) -> None:
        async def then_close() -> None:
            try:
                await test(self, logs)
            finally:
                await logs.close()

        asyncio.run(then_close())

    return run


async def _write(store: SharedStore, *expected_versions: int) -> None:
    for version in expected_versions:
        expect((await store.append(AppendBatch(1, [append(ALICE, version)]))).outcomes, [version + 1])


async def _held(logs: SharedLogs, *, events: int = 1) -> SharedStore:
    holder = logs.store("the holder")
    await holder.open()
    await _write(holder, *range(events))
    expect(await holder.save([SaveCheckpoint("p", 1)]), {})
    return holder


async def _taken_over(logs: SharedLogs) -> SharedStore:
    next_one = logs.store("the next one", waits=True)
    await next_one.open()
    return next_one


async def _expect_fenced(store: SharedStore) -> None:
    with raises(Fenced):
        await store.append(AppendBatch(1, [append(ALICE, 1)]))
    with raises(Fenced):
        await store.save([SaveCheckpoint("p", 9)])
    with raises(Fenced):
        await store.read_log(0, 1)


class SharedStoreContract:
    """The contract test suite for stores that share one log; subclass it and define a fixture `logs`."""

    @with_logs
    async def test_a_second_store_is_refused_with_the_name_of_the_holder(self, logs: SharedLogs) -> None:
        holder, second = await _held(logs), logs.store("the second")
        try:
            await second.open()
        except StoreInUse as refused:
            expect("the holder" in str(refused), True)
        else:
            raise AssertionError("StoreInUse was expected")
        await _write(holder, 1)

    @with_logs
    async def test_a_store_that_waits_takes_over_when_the_holder_closes(self, logs: SharedLogs) -> None:
        holder, next_one = await _held(logs), logs.store(waits=True)
        opening = asyncio.ensure_future(next_one.open())
        await _write(holder, 1)
        expect(opening.done(), False)
        await holder.close()
        await opening
        expect(await versions(next_one, ALICE), [1, 2])
        expect(await next_one.load_checkpoint("p"), 1)
        await _write(next_one, 2)

    @with_logs
    async def test_a_store_that_waits_takes_over_from_a_killed_process(self, logs: SharedLogs) -> None:
        holder = await _held(logs, events=2)
        await logs.kill(holder)
        next_one = await _taken_over(logs)
        await _write(next_one, 2)
        expect([one.position for one in await next_one.read_log(0, 10)], [1, 2, 3])

    @with_logs
    async def test_a_frozen_holder_is_fenced_and_writes_nothing(self, logs: SharedLogs) -> None:
        holder = await _held(logs)
        await logs.freeze(holder)
        next_one = await _taken_over(logs)
        await _expect_fenced(holder)
        await _expect_fenced(holder)
        expect(isinstance(await holder.until_lost(), Fenced), True)
        expect(await versions(next_one, ALICE), [1])
        expect(await next_one.load_checkpoint("p"), 1)
        await _write(next_one, 1, 2)

    @with_logs
    async def test_a_fenced_store_joins_again_like_any_other(self, logs: SharedLogs) -> None:
        holder = await _held(logs)
        await logs.freeze(holder)
        next_one = await _taken_over(logs)
        await _expect_fenced(holder)
        await holder.close()
        with raises(StoreInUse):
            await holder.open()
        await _write(next_one, 1)
        await next_one.close()
        await holder.open()
        await _write(holder, 2)
        expect(await versions(holder, ALICE), [1, 2, 3])

    @with_logs
    async def test_a_statement_that_arrives_after_the_fence_writes_nothing(self, logs: SharedLogs) -> None:
        holder = await _held(logs)
        append_arrives = await logs.sent(holder, AppendBatch(1, [append(ALICE, 1)]))
        save_arrives = await logs.sent_save(holder, [SaveCheckpoint("p", 9)])
        await logs.kill(holder)
        next_one = await _taken_over(logs)
        with raises(Fenced):
            await append_arrives()
        with raises(Fenced):
            await save_arrives()
        expect(await versions(next_one, ALICE), [1])
        expect(await next_one.load_checkpoint("p"), 1)
        await _write(next_one, 1)

    @with_logs
    async def test_a_statement_that_arrives_before_the_fence_is_seen_by_the_next_one(self, logs: SharedLogs) -> None:
        holder = await _held(logs)
        append_arrives = await logs.sent(holder, AppendBatch(1, [append(ALICE, 1)]))
        save_arrives = await logs.sent_save(holder, [SaveCheckpoint("p", 2)])
        await logs.kill(holder)
        await append_arrives()
        await save_arrives()
        next_one = await _taken_over(logs)
        expect(await versions(next_one, ALICE), [1, 2])
        expect(await next_one.load_checkpoint("p"), 2)

    @with_logs
    async def test_who_watches_learns_that_the_log_has_grown(self, logs: SharedLogs) -> None:
        holder = await _held(logs)
        expect((await holder.watch(0, 60)).position, 1)
        watching = asyncio.ensure_future(holder.watch(1, 0.01))
        await _write(holder, 1, 2)
        expect((await watching).position > 1, True)
        await logs.freeze(holder)
        await _taken_over(logs)
        await _expect_fenced(holder)
        with raises(Fenced):
            await holder.watch(3, 0.01)

    @with_logs
    async def test_of_several_that_wait_one_takes_over_at_a_time(self, logs: SharedLogs) -> None:
        holder = await _held(logs)
        waiting = {asyncio.ensure_future(store.open()): store for store in (logs.store(waits=True) for _ in range(3))}
        await holder.close()
        version = 1
        while waiting:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            opened = [opening for opening in waiting if opening.done()]
            expect(len(opened), 1)
            store = waiting.pop(opened[0])
            await opened[0]
            await _write(store, version)
            version += 1
            await store.close()
        last = logs.store()
        await last.open()
        expect(await versions(last, ALICE), [1, 2, 3, 4])
