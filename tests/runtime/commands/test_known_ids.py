"""While many command ids are in the log already, as in a repeated import, they are looked up before the decision."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from support.bank import Account, Add, Deposit, OpenAccount, Tally, Withdraw
from support.stores import PassedThrough, whole_log
from support.virtual_time import virtual

from actorium import Ack, Rejected
from actorium.application import Runtime
from actorium.errors import CommandConflict, StoreUnavailable
from actorium.runtime.commands.known_ids import LOOK_UPS_AFTER_A_DUPLICATE
from actorium.store.names import CommandRecord

ROWS = 400
TALLIES = 20


class CountingStore(PassedThrough):
    """Counts the ids that are looked up; look-ups fail on demand."""

    looked_up = 0
    look_ups_fail = False

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        if self.look_ups_fail:
            raise StoreUnavailable("the disk does not answer")
        self.looked_up += len(command_ids)
        return await self.inner.find_commands(command_ids)


async def imported(runtime: Runtime, rows: Sequence[int]) -> list[Ack]:
    """Send rows, those of each tally in order."""

    async def tally(number: int) -> list[Ack]:
        ids = [row for row in rows if row % TALLIES == number]
        return [await runtime.send(Add(f"t{number}", row), command_id=f"row-{row}") for row in ids]

    parts = await asyncio.gather(*map(tally, range(TALLIES)))
    return [ack for part in parts for ack in part]


@virtual
async def test_a_repeated_import_decides_only_what_is_new() -> None:
    store = CountingStore()
    async with Runtime([Tally], store=store) as runtime:
        before = await imported(runtime, [row for row in range(ROWS) if row % 10])
        assert store.looked_up == 0
        hydrations = runtime.statistics().hydrations
        after = await imported(runtime, range(ROWS))
        assert sum(ack.duplicate for ack in after) == len(before)
        # Only the first duplicates make a commit fail, and an actor be hydrated again.
        assert runtime.statistics().hydrations - hydrations <= TALLIES
        known = {ack.command_id: ack for ack in before}
        for ack in after:
            if ack.duplicate:
                first = known[ack.command_id]
                assert (ack.version, ack.position, ack.events) == (first.version, first.position, first.events)
        assert len(await whole_log(store.inner)) == ROWS


@virtual
async def test_when_ids_are_new_again_they_are_not_looked_up_any_more() -> None:
    store = CountingStore()
    async with Runtime([Tally], store=store) as runtime:
        await imported(runtime, [0])
        await imported(runtime, [0])
        for row in range(1, 2 * LOOK_UPS_AFTER_A_DUPLICATE):
            await imported(runtime, [row])
    assert LOOK_UPS_AFTER_A_DUPLICATE <= store.looked_up <= LOOK_UPS_AFTER_A_DUPLICATE + 1


@virtual
async def test_commands_of_one_sender_stay_in_order_when_only_some_ids_are_looked_up() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        await runtime.send(OpenAccount("a"), command_id="open")
        await runtime.send(OpenAccount("a"), command_id="open")
        deposit = asyncio.ensure_future(runtime.send(Deposit("a", 5), command_id="first"))
        await asyncio.sleep(0)
        withdrawal = asyncio.ensure_future(runtime.send(Withdraw("a", 5)))
        again = asyncio.ensure_future(runtime.send(Deposit("a", 5), command_id="first"))
        with_it = await asyncio.gather(deposit, withdrawal, again)
        assert [ack.version for ack in with_it] == [2, 3, 2]
        assert with_it[2].duplicate
        with pytest.raises(Rejected):
            await runtime.send(Withdraw("a", 1), command_id="second")


@virtual
async def test_an_id_that_was_used_for_another_command_is_a_conflict() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await imported(runtime, [1, 1])
        with pytest.raises(CommandConflict):
            await runtime.send(Add("t1", 2), command_id="row-1")
        with pytest.raises(CommandConflict):
            await runtime.send(Add("other", 1), command_id="row-1")


@virtual
async def test_if_the_look_up_fails_the_append_finds_the_duplicate() -> None:
    store = CountingStore()
    async with Runtime([Tally], store=store) as runtime:
        await imported(runtime, range(ROWS))
        await imported(runtime, [0])
        store.look_ups_fail = True
        assert all(ack.duplicate for ack in await imported(runtime, range(ROWS)))
        store.look_ups_fail = False
        assert len(await whole_log(store.inner)) == ROWS


@virtual
async def test_a_caller_who_leaves_during_the_look_up_leaves_nothing_behind() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await imported(runtime, [1, 1])
        sending = asyncio.ensure_future(imported(runtime, [21]))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await runtime.send(Add("t1", 3))).version in (2, 3)
        assert runtime.statistics().in_flight == 0
