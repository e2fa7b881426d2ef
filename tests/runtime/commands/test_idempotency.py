"""A command id takes effect once, permanently, and every later reply equals the first one."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import pytest
from support.bank import Account, Add, Deposit, OpenAccount, Stay, Tally, Withdraw
from support.stores import Fault, FaultyStore, GatedStore, whole_log
from support.virtual_time import settled, virtual

from actorium import Ack, Aggregate, AlreadyExists, Command, Event, Rejected, Runtime, Settings, decide, evolve
from actorium.errors import CommandConflict, CommandTimeout, Overloaded, StoreUnavailable
from actorium.store.errors import CommitUnknown
from actorium.store.event_store import Append, AppendBatch, CommandMark
from actorium.store.events import EncodedEvent, StreamName
from actorium.store.urls import open_store


class Tag(Command):
    tags: frozenset[str] = frozenset()
    notes: Mapping[str, int] = msgspec.field(default_factory=dict)


class Tagged(Event):
    tags: frozenset[str]


class Label(Aggregate):
    count: int = 0

    @decide
    def tag(self, command: Tag) -> Tagged:
        return Tagged(command.tags)

    @evolve
    def tagged(self, event: Tagged) -> None:
        self.count += 1


class Put(Command):
    count: int


class DeployedPut(Command):
    command_type = "Put"

    note: str = ""
    count: int = 0


class PutIn(Event):
    count: int


class Shelf(Aggregate):
    count: int = 0

    @decide
    def put(self, command: Put) -> PutIn:
        return PutIn(command.count)

    @evolve
    def put_in(self, event: PutIn) -> None:
        self.count += event.count


class DeployedShelf(Aggregate):
    stream_type = "Shelf"

    count: int = 0

    @decide
    def put(self, command: DeployedPut) -> PutIn:
        return PutIn(command.count)

    @evolve
    def put_in(self, event: PutIn) -> None:
        self.count += event.count


@pytest.fixture(params=["memory", "log"])
def store_url(request: pytest.FixtureRequest, log_url: str) -> str:
    return "memory://" if request.param == "memory" else log_url


def same_effect(first: Ack, again: Ack) -> bool:
    return again.duplicate and (again.version, again.position, again.events, again.stream_id) == (
        first.version,
        first.position,
        first.events,
        first.stream_id,
    )


@pytest.mark.asyncio
async def test_a_command_sent_again_later_gets_the_first_answer(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        first = await runtime.send(Add("t", 5, events=3), command_id="five")
        await runtime.send(Add("t", 1))
        again = await runtime.send(Add("t", 5, events=3), command_id="five")
        assert same_effect(first, again)
        assert not first.duplicate
        assert (await runtime.get(Tally, "t")).total == 16


@pytest.mark.asyncio
async def test_a_command_sent_many_times_at_once_takes_effect_once(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        acks = await asyncio.gather(*(runtime.send(Add("t", 5), command_id="five") for _ in range(20)))
        assert sum(not ack.duplicate for ack in acks) == 1
        assert {(ack.version, ack.position, ack.events) for ack in acks} == {(1, 1, acks[0].events)}
        assert (await runtime.get(Tally, "t")).total == 5


@pytest.mark.asyncio
async def test_a_command_sent_again_during_its_commit_waits_for_it(store_url: str) -> None:
    async with Runtime([Account], store=store_url) as runtime:
        first, again = await asyncio.gather(
            runtime.send(OpenAccount("a"), command_id="open"), runtime.send(OpenAccount("a"), command_id="open")
        )
        assert same_effect(first, again)


@pytest.mark.asyncio
async def test_a_command_sent_again_is_not_refused_by_the_new_state(store_url: str) -> None:
    async with Runtime([Account], store=store_url) as runtime:
        await runtime.send(OpenAccount("a"))
        await runtime.send(Deposit("a", 10))
        first = await runtime.send(Withdraw("a", 10), command_id="all")
        with pytest.raises(Rejected):
            await runtime.send(Withdraw("a", 10))
        assert same_effect(first, await runtime.send(Withdraw("a", 10), command_id="all"))


@pytest.mark.asyncio
async def test_a_creating_command_sent_again_does_not_create_twice(store_url: str) -> None:
    async with Runtime([Account], store=store_url) as runtime:
        first = await runtime.send(OpenAccount("a"), command_id="open")
        assert same_effect(first, await runtime.send(OpenAccount("a"), command_id="open"))
        with pytest.raises(AlreadyExists):
            await runtime.send(OpenAccount("a"), command_id="another")


@pytest.mark.asyncio
async def test_a_command_sent_again_may_expect_the_same_version(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        first = await runtime.send(Add("t"), command_id="one", expected_version=0)
        assert same_effect(first, await runtime.send(Add("t"), command_id="one", expected_version=0))


@pytest.mark.asyncio
async def test_the_same_id_with_other_content_is_a_conflict_without_effect(store_url: str) -> None:
    async with Runtime([Tally, Account], store=store_url) as runtime:
        await runtime.send(Add("t", 1), command_id="one")
        for other in (Add("t", 2), Add("u", 1), Stay("t"), OpenAccount("t")):
            with pytest.raises(CommandConflict, match="'one' was already used"):
                await runtime.send(other, command_id="one")
        assert (await runtime.send(Add("t", 1), command_id="two")).position == 2


@pytest.mark.asyncio
async def test_one_id_for_two_aggregates_at_once_takes_effect_in_one_of_them(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        outcomes = await asyncio.gather(
            *(runtime.send(Add(f"t{n}"), command_id="one") for n in range(5)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes].count(CommandConflict) == 4
        assert runtime.statistics().position == 1


@pytest.mark.asyncio
async def test_a_command_sent_again_after_a_restart_takes_effect_once(log_url: str) -> None:
    async with Runtime([Tally, Account], store=log_url) as runtime:
        added = await runtime.send(Add("t", 5, events=2), command_id="add")
        opened = await runtime.send(OpenAccount("a"), command_id="open")
        fresh = await runtime.send(Add("t", 1))
    async with Runtime([Tally, Account], store=log_url) as runtime:
        assert same_effect(opened, await runtime.send(OpenAccount("a"), command_id="open"))
        assert same_effect(added, await runtime.send(Add("t", 5, events=2), command_id="add"))
        assert same_effect(fresh, await runtime.send(Add("t", 1), command_id=fresh.command_id))
        with pytest.raises(CommandConflict):
            await runtime.send(Add("t", 6), command_id="add")
        assert (await runtime.get(Tally, "t")).total == 11


@pytest.mark.asyncio
async def test_a_command_sent_again_after_a_field_was_added_takes_effect_once(log_url: str) -> None:
    deploys: list[tuple[type[Aggregate], Callable[[int], Command], bool]] = [
        (Shelf, lambda count: Put("s", count), False),
        (DeployedShelf, lambda count: DeployedPut("s", count=count), True),
        (Shelf, lambda count: Put("s", count), True),
    ]
    for aggregate, put, is_again in deploys:
        async with Runtime([aggregate], store=log_url) as runtime:
            assert (await runtime.send(put(5), command_id="one")).duplicate is is_again
            assert (await runtime.submit(put(7), after_s=3_600, command_id="two")).duplicate is is_again
            with pytest.raises(CommandConflict):
                await runtime.send(put(6), command_id="one")
            assert [entry.version async for entry in runtime.history(aggregate, "s")] == [1]


@pytest.mark.asyncio
async def test_a_mark_from_an_older_version_is_recognized_by_its_stream(log_url: str) -> None:
    store = open_store(log_url)
    await store.open()
    event = EncodedEvent("Added", 1, b'{"amount":1}', b"{}")
    stream = StreamName("Tally", "t")
    await store.append(AppendBatch(1, [Append(stream, 0, (event,), CommandMark("one", 0x9A1B_2C3D))]))
    await store.close()
    async with Runtime([Tally], store=store) as runtime:
        assert (await runtime.send(Add("t", 1), command_id="one")).duplicate
        with pytest.raises(CommandConflict):
            await runtime.send(Add("u", 1), command_id="one")


@pytest.mark.asyncio
async def test_a_command_without_events_is_not_stored_and_can_be_sent_again(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        first = await runtime.send(Stay("t"), command_id="stay")
        again = await runtime.send(Stay("t"), command_id="stay")
        assert (first.events, again.events, first.version, again.duplicate) == ((), (), 0, False)
        assert runtime.statistics().position == 0


@pytest.mark.asyncio
async def test_a_rejected_command_may_be_sent_again_with_the_same_id_and_succeed(store_url: str) -> None:
    async with Runtime([Tally], store=store_url) as runtime:
        with pytest.raises(Rejected):
            await runtime.send(Add("t", 1, needs=1), command_id="needy")
        await runtime.send(Add("t", 1))
        assert (await runtime.send(Add("t", 1, needs=1), command_id="needy")).version == 2


@virtual
async def test_after_a_timeout_the_same_id_gives_the_first_effect() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        with pytest.raises(CommandTimeout) as timeout:
            await runtime.send(Add("t", 5), timeout_s=2.0)
        retry = asyncio.ensure_future(runtime.send(Add("t", 5), command_id=timeout.value.command_id))
        await settled()
        store.let_through()
        ack = await retry
        assert ack.duplicate
        assert ack.version == 1
        assert (await runtime.get(Tally, "t")).total == 5


@virtual
async def test_a_command_whose_caller_left_is_not_decided() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=Settings(turn_budget=1)) as runtime:
        await runtime.send(Add("t", 1))
        engine = runtime._engine
        assert engine is not None
        leaving = asyncio.ensure_future(runtime.send(Add("t", 5)))
        engine.kinds[Tally].live.clear()  # so that it waits for its stream to be read
        engine.live._round.clear()
        leaving = asyncio.ensure_future(runtime.send(Add("t", 5), command_id="gone"))
        await asyncio.sleep(0)
        leaving.cancel()
        await settled()
        assert "gone" not in str(await whole_log(store.inner))
        assert runtime.statistics().dropped == 1
        assert runtime.statistics().in_flight == 0


@virtual
async def test_an_unknown_outcome_is_resolved_by_sending_again() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        failures: tuple[tuple[Fault, type[Exception]], ...] = (("before", StoreUnavailable), ("after", CommitUnknown))
        for fault, error in failures:
            store.faults.append(fault)
            with pytest.raises(error):
                await runtime.send(Add("t", 5), command_id=fault)
        assert not (await runtime.send(Add("t", 5), command_id="before")).duplicate
        assert (await runtime.send(Add("t", 5), command_id="after")).duplicate
        assert (await runtime.get(Tally, "t")).total == 10


@virtual
async def test_a_failed_look_up_of_an_id_is_reported() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t", 5))
        store.reads_fail = True
        with pytest.raises(CommitUnknown, match=r"cannot find out whether .* took effect before"):
            await runtime.send(Add("t", 5, needs=50), command_id="needy")
        store.reads_fail = False
        with pytest.raises(Rejected):
            await runtime.send(Add("t", 5, needs=50), command_id="needy")


@virtual
async def test_the_order_of_a_set_or_dict_does_not_change_the_command() -> None:
    async with Runtime([Label], store="memory://") as runtime:
        words = [f"word{n}" for n in range(20)]
        await runtime.send(Tag("l", frozenset(words), {"a": 1, "b": 2}), command_id="tag")
        again = await runtime.send(Tag("l", frozenset(reversed(words)), {"b": 2, "a": 1}), command_id="tag")
        assert again.duplicate


@virtual
async def test_a_command_refused_by_a_full_mailbox_leaves_its_id_unused() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=Settings(max_in_flight=1)) as runtime:
        store.shut()
        first = asyncio.ensure_future(runtime.send(Add("t", 1)))
        await settled()
        with pytest.raises(Overloaded):
            await runtime.send(Add("t", 5), command_id="five", timeout_s=1.0)
        store.let_through()
        await first
        assert not (await runtime.send(Add("t", 5), command_id="five")).duplicate
