"""The agenda's table lags behind the log and can be rebuilt from it; a start reads only due rows."""

import asyncio

import pytest
from support.stores import GatedStore, PassedThrough
from support.transfers import Tell, Told, Transfer, ask, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import Runtime, Saga, starts, step
from actorium.errors import StoreUnavailable
from actorium.store.event_store import PAGE_BYTES
from actorium.store.events import EncodedRecord
from actorium.store.tables.own_rows import ReadDue
from actorium.types import DeadLetter


class Reads(PassedThrough):
    """Notes from where pages of the log are read; the start also decodes one event of each shape."""

    def __init__(self) -> None:
        super().__init__()
        self.read_from: list[int] = []

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        if limit > 1:
            self.read_from.append(after_position)
        return await self.inner.read_log(after_position, limit, max_bytes)


class Unread(PassedThrough):
    """Dead letters cannot be read while it is broken."""

    is_broken = False

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        if self.is_broken:
            raise StoreUnavailable("the disk does not answer")
        return await self.inner.dead_letters(processor)


class Patience(Saga):
    @starts(correlate="about")
    def told(self, event: Told) -> None: ...

    @step(until=Told, correlate="about", timeout_s=100_000)
    def wait(self) -> None: ...


async def rows(runtime: Runtime) -> list[tuple[object, ...]]:
    _ = [saga async for saga in runtime.sagas.list()]  # everything is written when they are listed
    found = await runtime.store.read_rows(ReadDue(2**62, 10_000))
    return sorted((row.id, row.key, row.what) for row in found)


@virtual
async def test_ended_intents_leave_no_rows() -> None:
    async with runtime_of(Transfer, Patience) as runtime:
        await open_accounts(runtime, alice=100, bob=0, bob_closed=0)
        await saga_in(runtime, Transfer, await ask(runtime), "completed")
        await saga_in(runtime, Transfer, await ask(runtime, target="bob_closed"), "undone")
        await runtime.send(Tell("news", "p1"))
        await asyncio.sleep(1)
        assert await rows(runtime) == [("p1", "wait", "deadline")]
        await runtime.send(Tell("news", "p1"))
        await asyncio.sleep(1)
        assert await rows(runtime) == []


@virtual
async def test_ended_intents_leave_no_rows_if_the_agenda_reloaded_during_the_write() -> None:
    store = GatedStore()
    async with runtime_of(Patience, store=store) as runtime:
        agenda = runtime._running_sagas()._agenda._whole.agenda
        await runtime.send(Tell("news", "p1"))
        await asyncio.sleep(0.1)
        runtime.processors[agenda].pause()
        store.shut()
        saved = asyncio.ensure_future(agenda.save())
        await store.saved(len(store.saves) + 1)
        back = asyncio.ensure_future(agenda.prepare())  # as after a failed read of the log
        await asyncio.sleep(1)
        store.let_through()
        await asyncio.gather(saved, back)
        await runtime.send(Tell("news", "p1"))
        await asyncio.sleep(1)
        runtime.processors[agenda].resume()
        await asyncio.sleep(1)
        assert [(saga.id, saga.status) async for saga in runtime.sagas.list()] == [("p1", "completed")]
        assert await rows(runtime) == []


@virtual
async def test_open_intents_keep_their_rows_if_the_agenda_could_not_reload() -> None:
    store = Unread()
    async with runtime_of(Patience, store=store) as runtime:
        agenda = runtime._running_sagas()._agenda._whole.agenda
        await runtime.send(Tell("news", "p1"))
        await asyncio.sleep(0.1)
        store.is_broken = True
        with pytest.raises(StoreUnavailable):
            await agenda.prepare()  # as after a failed read of the log
        await agenda.save()  # as the clock has it done now and then
        store.is_broken = False
        await agenda.prepare()
        runtime.processors[agenda].resume()
        await asyncio.sleep(1)
        assert await rows(runtime) == [("p1", "wait", "deadline")]


@virtual
async def test_a_start_neither_reads_the_whole_log_nor_wakes_waiting_sagas() -> None:
    store = Reads()
    async with runtime_of(Patience, store=store) as runtime:
        await asyncio.gather(*(runtime.send(Tell(f"news{n}", f"p{n}")) for n in range(2_500)))
        await asyncio.sleep(60)
        assert len(await rows(runtime)) == 2_500
        assert [one.position for one in runtime.statistics().processors] == [runtime.statistics().position] * 2
    store.read_from.clear()
    async with runtime_of(Patience, store=store, seed=1) as runtime:
        await asyncio.sleep(60)
        assert set(store.read_from) <= {7_500}  # from the end, whether there is more
        assert runtime.statistics().hydrations == 0
        assert runtime.statistics().live_actors == 0
        await asyncio.sleep(100_000)
        assert sum([1 async for _ in runtime.sagas.list(status="undone")]) == 2_500
        assert await rows(runtime) == []


@virtual
async def test_a_reset_rebuilds_the_table_from_the_log() -> None:
    async with runtime_of(Patience) as runtime:
        for n in range(30):
            await runtime.send(Tell("news", f"p{n % 20}"))
        await asyncio.sleep(1)
        before = await rows(runtime)
        listed = [saga async for saga in runtime.sagas.list()]
        assert len(before) == 10
        for processor in runtime.processors.values():
            await processor.reset()
        await asyncio.sleep(1)
        assert await rows(runtime) == before
        assert [saga async for saga in runtime.sagas.list()] == listed
        await asyncio.sleep(100_001)
        assert await rows(runtime) == []
