"""The position of events delivered to sagas is saved at intervals; events delivered again take effect once."""

import asyncio

from support.stores import Fault, FaultyStore, GatedStore
from support.transfers import Transfer, ask, balances, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium.store.event_store import AppendBatch
from actorium.store.memory import MemoryStore

NAME = "saga Transfer"


@virtual
async def test_it_is_saved_twice_a_second_at_most_and_soon_after_the_last_event() -> None:
    store = GatedStore()
    async with runtime_of(Transfer, store=store) as runtime:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await open_accounts(runtime, alice=1_000, bob=0)
        for _ in range(30):
            await saga_in(runtime, Transfer, await ask(runtime), "completed")
        await asyncio.sleep(1)
        saves = [one for checkpoints in store.saves for one in checkpoints if one.name == NAME]
        assert 1 <= len(saves) <= 2 * (loop.time() - began) + 1
        assert await store.load_checkpoint(NAME) == runtime.statistics().position


@virtual
async def test_a_failed_save_is_repeated_later() -> None:
    store, failures = FaultyStore(), 0

    def is_save() -> bool:
        return not isinstance(store.last, AppendBatch) and any(one.name == NAME for one in store.last)

    def fault() -> Fault:
        nonlocal failures
        if failures == 3 or not is_save():
            return "none"
        failures += 1
        return "before"

    async with runtime_of(Transfer, store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        store.next_fault = fault
        await saga_in(runtime, Transfer, await ask(runtime), "completed")
        await asyncio.sleep(5)
        assert failures == 3
        assert await store.load_checkpoint(NAME) == runtime.statistics().position


@virtual
async def test_events_delivered_before_the_save_are_delivered_again_and_applied_once() -> None:
    log = MemoryStore()
    for seed in range(3):
        # It stops before half a second is over: the next run begins again where this one began.
        async with runtime_of(Transfer, store=log, seed=seed) as runtime:
            await open_accounts(runtime, alice=1_000, bob=0)
            await saga_in(runtime, Transfer, await ask(runtime), "completed", within_s=0.4)
            assert await balances(runtime, "alice", "bob") == (1_000 - 10 * (seed + 1), 10 * (seed + 1))
            assert await log.load_checkpoint(NAME) == 0
