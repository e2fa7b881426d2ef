"""Callers that send again at once after a commit share the next one."""

import asyncio
from typing import Any

import pytest
from support.bank import Add, Tally
from support.stores import PassedThrough
from support.virtual_time import virtual

from actorium.application import Runtime
from actorium.store.event_store import AppendBatch, Appended

COMMIT_S = 0.001
ROUNDS = 50


class SlowStore(PassedThrough):
    """Takes a millisecond for each commit, and keeps a diary of commits and of what the test adds."""

    def __init__(self) -> None:
        super().__init__()
        self.diary: list[Any] = []

    async def append(self, batch: AppendBatch) -> Appended:
        self.diary.append(len(batch.appends))
        await asyncio.sleep(COMMIT_S)
        return await super().append(batch)


async def commits(callers: int) -> list[int]:
    """Return the sizes of the commits of callers in a closed loop."""
    store = SlowStore()

    async def caller(number: int) -> None:
        for _ in range(ROUNDS):
            await runtime.send(Add(f"t{number}"))

    async with Runtime([Tally], store=store) as runtime:
        await asyncio.gather(*(caller(number) for number in range(callers)))
    return store.diary


@pytest.mark.parametrize("callers", [2, 10, 100])
@virtual
async def test_callers_in_a_closed_loop_share_each_commit(callers: int) -> None:
    sizes = await commits(callers)
    assert sum(sizes) == callers * ROUNDS
    assert sizes.count(callers) >= ROUNDS - 5


@virtual
async def test_in_memory_too_the_first_to_return_is_not_committed_alone() -> None:
    async with Runtime([Tally], store="memory://") as runtime:

        async def caller(number: int) -> None:
            for _ in range(ROUNDS):
                await runtime.send(Add(f"t{number}"))

        await asyncio.gather(*(caller(number) for number in range(10)))
        assert runtime.statistics().writer.batches <= ROUNDS + 3


@virtual
async def test_the_next_commit_does_not_wait_for_callers_who_do_not_return() -> None:
    store = SlowStore()
    sending = []

    async def caller(number: int) -> None:
        await runtime.send(Add(f"t{number}"))
        store.diary.append("reply")

    async with Runtime([Tally], store=store) as runtime:
        for number in range(20):  # each arrives while the commit of the one before runs
            sending.append(asyncio.ensure_future(caller(number)))
            await asyncio.sleep(COMMIT_S if number else COMMIT_S / 2)
        await asyncio.gather(*sending)
    # One attempt; then each commit begins before the reply to the last one.
    assert store.diary.count("reply") == 20
    assert store.diary[:9] == [1, "reply", 1, 1, "reply", 1, "reply", 1, "reply"]
