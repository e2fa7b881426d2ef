"""Timers follow the wall clock: if it is set forward, due intents start soon, whatever the loop's clock says."""

import asyncio

from support.bank import Account, Deposit, OpenAccount
from support.stores import PassedThrough
from support.virtual_time import virtual

from actorium import Runtime
from actorium.errors import StoreUnavailable
from actorium.store.source import SeededSource
from actorium.store.tables.own_rows import Row, TableRead

DAY_US = 86_400_000_000


@virtual
async def test_a_clock_set_forward_is_noticed_within_two_seconds() -> None:
    source = SeededSource()
    async with Runtime([Account], store="memory://", source=source) as runtime:
        await runtime.send(OpenAccount("alice"))
        for days in (1, 30):
            await runtime.submit(Deposit("alice", days), after_s=days * 86_400.0)
        await asyncio.sleep(30)
        assert (await runtime.get(Account, "alice")).balance == 0
        source.time_us += DAY_US
        await asyncio.sleep(2)
        assert (await runtime.get(Account, "alice")).balance == 1
        source.time_us += 29 * DAY_US
        await asyncio.sleep(2)
        assert (await runtime.get(Account, "alice")).balance == 31


@virtual
async def test_a_timer_set_just_before_the_clock_jumped_is_not_missed() -> None:
    source = SeededSource()
    async with Runtime([Account], store="memory://", source=source) as runtime:
        await runtime.send(OpenAccount("alice"))
        await asyncio.sleep(10)
        await runtime.submit(Deposit("alice", 5), after_s=86_400.0)
        source.time_us += DAY_US
        await asyncio.sleep(2)
        assert (await runtime.get(Account, "alice")).balance == 5


class NoRows(PassedThrough):
    """A store that can be told to read none of the runtime's own tables."""

    is_away = False

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        if self.is_away:
            raise StoreUnavailable("the disk does not answer")
        return await self.inner.read_rows(read)


@virtual
async def test_an_unavailable_store_does_not_end_the_agenda() -> None:
    source, store = SeededSource(), NoRows()
    async with Runtime([Account], store=store, source=source) as runtime:
        await runtime.send(OpenAccount("alice"))
        await runtime.submit(Deposit("alice", 5), after_s=86_400.0)
        await asyncio.sleep(10)
        store.is_away = True
        source.time_us += DAY_US
        await asyncio.sleep(60)
        store.is_away = False
        await asyncio.sleep(2)
        assert (await runtime.get(Account, "alice")).balance == 5
