"""How often the streams of sagas are read: not at the start, and again only if somebody asks for one that has ended."""

import asyncio

from support.transfers import Ask, Transfer, TransferRequested, Withdraw, ask, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import Saga, starts, step


class ByTarget(Saga):
    """Its id is a field of its event, so that it may have begun before."""

    source: str = ""

    @starts(correlate="target")
    def requested(self, event: TransferRequested) -> None:
        self.source = event.source

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, 1)


@virtual
async def test_the_stream_of_a_saga_with_the_id_of_its_event_is_not_read() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await saga_in(runtime, Transfer, await ask(runtime), "completed")
        before = runtime.statistics().hydrations
        await ask(runtime)
        await asyncio.sleep(10)
        assert runtime.statistics().hydrations == before


@virtual
async def test_the_stream_of_a_saga_that_an_event_correlates_is_read() -> None:
    async with runtime_of(ByTarget) as runtime:
        await open_accounts(runtime, alice=100)
        await runtime.send(Ask("desk", "alice", "first"))
        await asyncio.sleep(10)
        before = runtime.statistics().hydrations
        await runtime.send(Ask("desk", "alice", "second"))
        await asyncio.sleep(10)
        assert runtime.statistics().hydrations == before + 1


@virtual
async def test_a_saga_that_has_ended_is_not_kept_in_memory() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await asyncio.sleep(10)
        before = runtime.statistics().hydrations
        assert (await runtime.sagas.get(Transfer, id)).status == "completed"
        assert runtime.statistics().hydrations == before + 1


@virtual
async def test_a_stuck_saga_is_kept_in_memory() -> None:
    class Fails(Saga):
        @starts
        def requested(self, event: TransferRequested) -> None:
            self.fail("told to")

    async with runtime_of(Fails) as runtime:
        id = await ask(runtime)
        await asyncio.sleep(10)
        before = runtime.statistics().hydrations
        assert (await runtime.sagas.get(Fails, id)).status == "failed"
        assert runtime.statistics().hydrations == before
