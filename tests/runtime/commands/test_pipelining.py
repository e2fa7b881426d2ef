"""An actor decides before earlier events are durable, and no caller can observe this."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.bank import Account, Add, Added, Deposit, OpenAccount, Stay, Tally, Withdraw
from support.stores import Fault, FaultyStore, GatedStore, append, whole_log
from support.virtual_time import settled, virtual

from actorium import Ack, Rejected
from actorium.application import Runtime
from actorium.errors import StoreUnavailable, WrongExpectedVersion
from actorium.store.errors import CommitUnknown
from actorium.store.event_store import AppendBatch, Appended


@virtual
async def test_a_command_is_decided_on_events_that_are_not_durable_yet() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        first = asyncio.ensure_future(runtime.send(Add("t", 5)))
        await store.commits(1)
        second = asyncio.ensure_future(runtime.send(Add("t", 1, needs=5)))
        await settled()
        assert not first.done()
        assert not second.done()
        store.let_through()
        assert (await first).version == 1
        assert (await second).version == 2


@virtual
async def test_a_rejection_waits_for_the_commit_of_the_events_it_depends_on() -> None:
    store = GatedStore()
    async with Runtime([Account], store=store) as runtime:
        await runtime.send(OpenAccount("a"))
        store.shut()
        deposit = asyncio.ensure_future(runtime.send(Deposit("a", 5)))
        await store.commits(2)
        refused = asyncio.ensure_future(runtime.send(Withdraw("a", 6)))
        await settled()
        assert not refused.done()
        store.let_through()
        await deposit
        with pytest.raises(Rejected, match="insufficient funds"):
            await refused


@virtual
async def test_a_read_waits_for_the_commit_of_the_events_it_shows() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        added = asyncio.ensure_future(runtime.send(Add("t", 5)))
        await store.commits(1)
        read = asyncio.ensure_future(runtime.get(Tally, "t"))
        await settled()
        assert not read.done()
        store.let_through()
        await added
        assert (await read).total == 5


@virtual
async def test_a_command_without_events_waits_for_earlier_ones_and_returns_their_position() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        added = asyncio.ensure_future(runtime.send(Add("t", 5)))
        await store.commits(1)
        stayed = asyncio.ensure_future(runtime.send(Stay("t")))
        await settled()
        assert not stayed.done()
        store.let_through()
        ack = await stayed
        assert (ack.version, ack.events) == (1, ())
        assert ack.position == (await added).position


@virtual
async def test_a_read_on_events_that_were_not_written_shows_the_state_without_them() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t", 1))
        store.faults.append("before")
        store.shut()
        lost = asyncio.ensure_future(runtime.send(Add("t", 5)))
        await store.commits(2)
        read = asyncio.ensure_future(runtime.get(Tally, "t"))
        await settled()
        store.let_through()
        with pytest.raises(StoreUnavailable):
            await lost
        assert (await read).total == 1


@virtual
async def test_a_rejection_on_events_that_were_not_written_is_decided_again() -> None:
    store = FaultyStore()
    async with Runtime([Account], store=store) as runtime:
        await runtime.send(OpenAccount("a"))
        await runtime.send(Deposit("a", 10))
        store.faults.append("before")
        store.shut()
        lost = asyncio.ensure_future(runtime.send(Withdraw("a", 10)))
        await store.commits(3)
        second = asyncio.ensure_future(runtime.send(Withdraw("a", 4)))  # refused only while the first one counts
        await settled()
        store.let_through()
        with pytest.raises(StoreUnavailable):
            await lost
        assert (await second).version == 3
        assert (await runtime.get(Account, "a")).balance == 6


async def in_one_batch(runtime: Runtime, store: GatedStore, behind: int) -> list[asyncio.Future[Ack]]:
    """Send commands so that all of them are in one batch while another aggregate's commit is in flight."""
    came = len(store.batches)
    store.shut()
    blocker = asyncio.ensure_future(runtime.send(Add("blocker")))
    await store.commits(came + 1)
    sent: list[asyncio.Future[Ack]] = [
        asyncio.ensure_future(runtime.send(Add("t", 1), command_id=f"c{n}")) for n in range(behind)
    ]
    await settled()
    assert not blocker.done()
    return sent


async def in_batches_of_one(runtime: Runtime, store: GatedStore, behind: int) -> list[asyncio.Future[Ack]]:
    """Send commands so that the first is in flight and the rest wait for the writer."""
    came = len(store.batches)
    store.shut()
    sent: list[asyncio.Future[Ack]] = [asyncio.ensure_future(runtime.send(Add("t", 1), command_id="c0"))]
    await store.commits(came + 1)
    sent += [asyncio.ensure_future(runtime.send(Add("t", 1), command_id=f"c{n}")) for n in range(1, behind)]
    await settled()
    return sent


Arrangement = Callable[[Runtime, GatedStore, int], Awaitable[list[asyncio.Future[Ack]]]]
arrangements = pytest.mark.parametrize("arrange", [in_one_batch, in_batches_of_one])


@arrangements
@pytest.mark.parametrize("fault", ["before", "after"])
@virtual
async def test_a_failed_commit_fails_its_own_commands_and_no_others(arrange: Arrangement, fault: Fault) -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t", 100))
        one_batch = arrange is in_one_batch
        store.faults.extend(["none", fault] if one_batch else [fault])
        sent = await arrange(runtime, store, 5)
        store.let_through()
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        failed = [type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]
        error = {"before": StoreUnavailable, "after": CommitUnknown}[fault]
        assert failed == [error] * (5 if one_batch else 1)
        written = {"before": 0, "after": len(failed)}[fault]
        state = await runtime.get(Tally, "t")
        assert state.total == 100 + written + 5 - len(failed)
        again = await asyncio.gather(*(runtime.send(Add("t", 1), command_id=f"c{n}") for n in range(5)))
        assert [ack.version for ack in again] == [2, 3, 4, 5, 6] if written or one_batch else [6, 2, 3, 4, 5]
        assert (await runtime.get(Tally, "t")).total == 105
        assert runtime.statistics().in_flight == 0


@arrangements
@virtual
async def test_after_another_writers_append_everything_is_decided_again_in_order(arrange: Arrangement) -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t", 100))
        sent = await arrange(runtime, store, 5)
        await append(store.inner, ("Tally", "t"), 1, Added(1000), Added(1000), Added(1000), Added(1000), Added(1000))
        await append(store.inner, ("Tally", "t"), 6, Added(1000))
        store.let_through()
        acks = await asyncio.gather(*sent)
        assert [ack.version for ack in acks] == [8, 9, 10, 11, 12]
        assert (await runtime.get(Tally, "t")).total == 6_105


@arrangements
@pytest.mark.parametrize("foreign", [1, 2, 3])
@virtual
async def test_decisions_on_events_that_lost_a_race_are_not_written(arrange: Arrangement, foreign: int) -> None:
    """If as many foreign events as own ones were appended, the version matches again, but the state does not."""
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t", 100))
        sent = await arrange(runtime, store, 2)
        needy = asyncio.ensure_future(runtime.send(Add("t", 1, needs=102)))
        await settled()
        await append(store.inner, ("Tally", "t"), 1, *[Added(-20)] * foreign)
        store.let_through()
        await asyncio.gather(*sent)
        with pytest.raises(Rejected):
            await needy


@arrangements
@virtual
async def test_a_duplicate_in_the_middle_of_a_pipeline_undoes_only_itself(arrange: Arrangement) -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        first = await runtime.send(Add("t", 7), command_id="seven")
        sent = await arrange(runtime, store, 3)
        duplicate = asyncio.ensure_future(runtime.send(Add("t", 7), command_id="seven"))
        behind = [asyncio.ensure_future(runtime.send(Add("t", 1))) for _ in range(3)]
        await settled()
        store.let_through()
        acks = await asyncio.gather(*sent, *behind)
        assert [ack.version for ack in acks] == [2, 3, 4, 5, 6, 7]
        again = await duplicate
        assert again.duplicate
        assert (again.version, again.position, again.events) == (first.version, first.position, first.events)
        assert (await runtime.get(Tally, "t")).total == 13


@virtual
async def test_a_command_that_keeps_losing_the_race_fails() -> None:
    class Contested(GatedStore):
        async def _write(self, batch: AppendBatch) -> Appended:
            records = await whole_log(self.inner)
            if records:
                await append(self.inner, ("Tally", "t"), len(records), Added(1))
            return await super()._write(batch)

    async with Runtime([Tally], store=Contested()) as runtime:
        await runtime.send(Add("t", 1))
        with pytest.raises(WrongExpectedVersion):
            await runtime.send(Add("t", 1))
        assert runtime.statistics().in_flight == 0


@virtual
async def test_one_lost_race_leaves_the_rest_of_the_batch_alone() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t", 1))
        sent = await in_one_batch(runtime, store, 2)
        other = asyncio.ensure_future(runtime.send(Add("other", 1)))
        await settled()
        await append(store.inner, ("Tally", "t"), 1, Added(1), Added(1), Added(1))
        store.let_through()
        assert (await other).version == 1
        await asyncio.gather(*sent)
        batches = [[str(one.stream) for one in batch.appends] for batch in store.batches]
        assert batches[2:] == [["Tally<t>", "Tally<t>", "Tally<other>"], ["Tally<t>", "Tally<t>"]]
