"""`runtime.sagas.get(…, ended_within_s=…)` waits for the end of a saga."""

import asyncio

import pytest
from support.transfers import Ask, Told, Transfer, TransferRequested, ask, open_accounts, runtime_of
from support.virtual_time import virtual

from actorium import ConfigurationError, NotFound, Saga, starts, step
from actorium.errors import RuntimeClosed, SagaTimeout
from actorium.store.errors import InvalidCommand
from actorium.types import SagaView


class Waiting(Saga):
    @starts
    def asked(self, event: TransferRequested) -> None: ...

    @step(until=Told, correlate="about", timeout_s=60)
    def word(self) -> None: ...


class Broken(Saga):
    @starts
    def asked(self, event: TransferRequested) -> None: ...

    @step
    def stumble(self) -> None:
        raise ZeroDivisionError("a bug")


@virtual
async def test_it_waits_for_the_start_and_for_every_kind_of_end() -> None:
    async with runtime_of(Transfer, Waiting, Broken) as runtime:
        await open_accounts(runtime, alice=10, bob=0)

        async def end_of(saga: type[Saga], id: str) -> SagaView:
            return await runtime.sagas.get(saga, id, ended_within_s=100)

        cases = [(Transfer, 1), (Transfer, 1), (Transfer, 2), (Waiting, 1), (Broken, 1)]
        waiting = [asyncio.create_task(end_of(saga, f"Desk/desk/{number}")) for saga, number in cases]
        await asyncio.sleep(1)
        for amount in (10, 20):
            await runtime.send(Ask("desk", "alice", "bob", amount))
        ends = [view.status for view in await asyncio.gather(*waiting)]
        assert ends == ["completed", "completed", "undone", "undone", "failed"]
        assert (await end_of(Transfer, "Desk/desk/1")).status == "completed"  # over already


@virtual
async def test_a_saga_that_continues_is_reported_with_its_step() -> None:
    async with runtime_of(Waiting) as runtime:
        await ask(runtime)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(SagaTimeout, match=r"Waiting<Desk/desk/1> has not ended within 5 s: it is running at word"):
            await runtime.sagas.get(Waiting, "Desk/desk/1", ended_within_s=5)
        assert loop.time() - began == pytest.approx(5)
        assert (await runtime.sagas.get(Waiting, "Desk/desk/1", ended_within_s=100)).status == "undone"


@virtual
async def test_a_saga_that_never_starts_is_not_found() -> None:
    async with runtime_of(Waiting) as runtime:
        with pytest.raises(NotFound):
            await runtime.sagas.get(Waiting, "nobody", ended_within_s=5)
        for within_s in (None, 1):
            with pytest.raises(InvalidCommand, match="id="):
                await runtime.sagas.get(Waiting, "\ud800", ended_within_s=within_s)
        with pytest.raises(ConfigurationError, match="ended_within_s=-1"):
            await runtime.sagas.get(Waiting, "nobody", ended_within_s=-1)


@virtual
async def test_a_repaired_saga_is_waited_for_again() -> None:
    async with runtime_of(Broken) as runtime:
        await ask(runtime)
        assert (await runtime.sagas.get(Broken, "Desk/desk/1", ended_within_s=5)).status == "failed"
        await runtime.sagas.skip(Broken, "Desk/desk/1", reason="it is a bug")
        assert (await runtime.sagas.get(Broken, "Desk/desk/1", ended_within_s=5)).status == "completed"


@virtual
async def test_a_stop_fails_the_waiters() -> None:
    async with runtime_of(Waiting) as runtime:
        await ask(runtime)
        waiting = asyncio.create_task(runtime.sagas.get(Waiting, "Desk/desk/1", ended_within_s=50))
        await asyncio.sleep(1)
    with pytest.raises(RuntimeClosed):
        await waiting
