"""Backpressure: queues are bounded, senders are admitted fairly, and a wait that is too long has no effect."""

import asyncio
import random

import pytest
from support.bank import Add, Added, Tally
from support.stores import FaultyStore, GatedStore, PoisonedStore, append, whole_log
from support.virtual_time import settled, steps, virtual

from actorium import Ack, Passivation, Settings
from actorium.actors.envelope import Envelope
from actorium.application import Runtime
from actorium.errors import HydrationFailed, Overloaded
from actorium.runtime.commands.admission import Admission
from actorium.store.memory import MemoryStore


def send(runtime: Runtime, to: str, amount: int = 1, timeout_s: float = 30.0) -> "asyncio.Future[Ack]":
    return asyncio.ensure_future(runtime.send(Add(to, amount), timeout_s=timeout_s))


async def full_of(runtime: Runtime, store: GatedStore, *ids: str) -> "list[asyncio.Future[Ack]]":
    """Make the store wait, and send one command to each id."""
    store.shut()
    sent = [send(runtime, id) for id in ids]
    await settled()
    return sent


@virtual
async def test_max_in_flight_makes_senders_wait_for_room() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=Settings(max_in_flight=3)) as runtime:
        accepted = await full_of(runtime, store, "a", "b", "c")
        waiting = send(runtime, "d")
        await settled()
        assert (runtime.statistics().in_flight, runtime.statistics().waiting_for_room) == (3, 1)
        store.let_through()
        await asyncio.gather(*accepted, waiting)
        assert (runtime.statistics().in_flight, runtime.statistics().waiting_for_room) == (0, 0)


@virtual
async def test_a_sender_that_finds_room_when_it_begins_to_wait_is_let_in() -> None:
    delivered: list[Envelope] = []
    admission = Admission(delivered.append, limit=1, mailbox_limit=1, max_wait_s=30.0)
    envelope = Envelope("Tally", "a", None, None)
    await admission.room(envelope, None, asyncio.get_running_loop().time() + 1.0)
    assert delivered == [envelope]


@virtual
async def test_mailbox_limit_counts_undecided_and_uncommitted_commands() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=Settings(mailbox_limit=3)) as runtime:
        accepted = await full_of(runtime, store, "a", "a", "a")
        waiting = send(runtime, "a")
        other = send(runtime, "b")
        await settled()
        assert (runtime.statistics().in_flight, runtime.statistics().waiting_for_room) == (4, 1)
        store.let_through()
        assert [ack.version for ack in await asyncio.gather(*accepted, waiting)] == [1, 2, 3, 4]
        await other


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings(max_in_flight=1), r"1 command in flight \(the limit max_in_flight\)"),
        (Settings(mailbox_limit=1), r"Tally<a> has 1 command waiting \(the limit mailbox_limit\)"),
    ],
)
@virtual
async def test_a_wait_that_is_too_long_ends_with_overloaded_and_no_effect(settings: Settings, why: str) -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        accepted = await full_of(runtime, store, "a")
        started = asyncio.get_running_loop().time()
        with pytest.raises(Overloaded, match=why):
            await runtime.send(Add("a", 100), timeout_s=2.0)
        assert asyncio.get_running_loop().time() - started == pytest.approx(2.0)
        with pytest.raises(Overloaded, match=why):
            await runtime.tell(Add("a", 100), timeout_s=2.0)
        with pytest.raises(Overloaded, match=why):
            await runtime.get(Tally, "a", timeout_s=2.0)
        store.let_through()
        await asyncio.gather(*accepted)
        assert len(await whole_log(store.inner)) == 1
        assert (await runtime.send(Add("a"))).version == 2
        assert runtime.statistics().waiting_for_room == 0


@pytest.mark.parametrize("settings", [Settings(max_in_flight=1), Settings(mailbox_limit=1)])
@virtual
async def test_a_sender_that_leaves_the_queue_makes_room_for_the_next(settings: Settings) -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        accepted = await full_of(runtime, store, "a")
        waiting = [send(runtime, "a") for _ in range(4)]
        await settled()
        waiting[0].cancel()
        waiting[2].cancel()
        await settled()
        store.let_through()
        await asyncio.gather(*accepted)
        assert (await waiting[1]).version == 2
        assert (await waiting[3]).version == 3


@pytest.mark.parametrize("settings", [Settings(max_in_flight=1), Settings(mailbox_limit=1)])
@pytest.mark.parametrize("after", range(12))
@virtual
async def test_a_sender_that_leaves_just_as_room_is_freed_does_not_stall_the_next(
    settings: Settings, after: int
) -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        accepted = await full_of(runtime, store, "a")
        leaving, staying = send(runtime, "a"), send(runtime, "a", timeout_s=1.0)
        await settled()
        store.let_through()
        await steps(after)
        leaving.cancel()
        await asyncio.gather(*accepted)
        await staying
        await asyncio.gather(leaving, return_exceptions=True)
        assert runtime.statistics().in_flight == 0


@pytest.mark.parametrize("after", range(0, 16))
@virtual
async def test_a_sender_that_leaves_the_second_queue_does_not_stall_the_first(after: int) -> None:
    """A sender that is admitted by its mailbox still waits for the runtime; this must not affect those behind it."""
    store = GatedStore()
    settings = Settings(max_in_flight=2, mailbox_limit=1)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        accepted = await full_of(runtime, store, "a", "b")
        before = [send(runtime, "c"), send(runtime, "d")]
        leaving, staying = send(runtime, "a"), send(runtime, "a", timeout_s=3.0)
        await settled()
        store.let_through()
        await steps(after)
        leaving.cancel()
        await asyncio.gather(*accepted, *before)
        assert (await staying).version in (2, 3)
        await asyncio.gather(leaving, return_exceptions=True)
        assert runtime.statistics().in_flight == 0


@virtual
async def test_a_sender_that_is_admitted_and_refused_does_not_stall_the_next() -> None:
    store = PoisonedStore(gate := GatedStore())
    await gate.open()
    await append(gate.inner, ("Tally", "poisoned"), 0, Added(1))
    await gate.close()
    store.poisoned.add("poisoned")
    async with Runtime([Tally], store=store, settings=Settings(max_in_flight=1)) as runtime:
        with pytest.raises(HydrationFailed):
            await runtime.send(Add("poisoned"))
        accepted = await full_of(runtime, gate, "a")
        refused, staying = send(runtime, "poisoned"), send(runtime, "b", timeout_s=1.0)
        await settled()
        gate.let_through()
        await asyncio.gather(*accepted)
        with pytest.raises(HydrationFailed):
            await refused
        await staying


@virtual
async def test_one_hot_aggregate_cannot_take_all_the_room() -> None:
    store = GatedStore()
    settings = Settings(max_in_flight=10, mailbox_limit=4)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        store.shut()
        hot = [send(runtime, "hot") for _ in range(50)]
        await settled()
        others = [send(runtime, f"cold{n}") for n in range(6)]
        await settled()
        assert runtime.statistics().in_flight == 10
        store.let_through()
        await asyncio.gather(*others)
        assert [ack.version for ack in await asyncio.gather(*hot)] == list(range(1, 51))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(mailbox_limit=3),
        Settings(max_in_flight=3),
        Settings(max_in_flight=5, mailbox_limit=2),
        Settings(max_in_flight=2, mailbox_limit=5, turn_budget=1),
    ],
)
@virtual
async def test_commands_of_one_caller_to_one_aggregate_run_in_the_order_sent(settings: Settings) -> None:
    store = FaultyStore()
    store.next_fault = lambda: "slow"
    chance = random.Random(7)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        sent: dict[str, list[asyncio.Future[Ack]]] = {"a": [], "b": [], "c": []}
        for n in range(300):
            id = chance.choice("abc")
            sent[id].append(send(runtime, id, n))
            if chance.random() < 0.1:
                await steps(chance.randrange(8))
            if chance.random() < 0.03:
                await asyncio.sleep(chance.random() / 10)
        for acks in sent.values():
            assert [ack.version for ack in await asyncio.gather(*acks)] == list(range(1, len(acks) + 1))


@pytest.mark.parametrize("seed", range(20))
@virtual
async def test_under_load_every_sender_is_admitted_or_refused_and_no_room_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    store = FaultyStore()
    store.next_fault = lambda: chance.choice(["slow", "none", "none", "before"])
    settings = Settings(
        max_in_flight=chance.randint(1, 6),
        mailbox_limit=chance.randint(1, 4),
        passivation=Passivation(max_live=chance.randint(1, 4), idle_s=0.2),
    )
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        sent = []
        for _ in range(300):
            sent.append(send(runtime, chance.choice("abcdef"), timeout_s=chance.choice([0.01, 0.2, 60.0])))
            if chance.random() < 0.3:
                await steps(chance.randrange(10))
            if chance.random() < 0.3:
                chance.choice(sent).cancel()
            if chance.random() < 0.02:
                await asyncio.sleep(0.1)
        done, stalled = await asyncio.wait(sent, timeout=45.0)
        assert not stalled
        await asyncio.sleep(1.0)  # the commands of those who left are carried out all the same
        assert runtime.statistics().in_flight == 0
        assert runtime.statistics().waiting_for_room == 0
        store.next_fault = lambda: "none"
        limit = settings.max_in_flight
        await asyncio.wait_for(asyncio.gather(*(runtime.send(Add(f"z{n}")) for n in range(limit * 3))), 5.0)
        for task in done:
            if not task.cancelled():
                task.exception()


@virtual
async def test_a_sender_keeps_its_place_while_others_come_and_go() -> None:
    """Later senders do not overtake a waiting one, however many arrive."""
    store = FaultyStore(MemoryStore())
    store.next_fault = lambda: "slow"
    async with Runtime([Tally], store=store, settings=Settings(max_in_flight=2)) as runtime:

        async def steady(name: str) -> None:
            while not patient.done():
                await runtime.send(Add(name))

        patient: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        busy = [asyncio.ensure_future(steady(f"busy{n}")) for n in range(5)]
        await settled()
        ack = await runtime.send(Add("patient"), timeout_s=1.0)
        patient.set_result(ack)
        await asyncio.gather(*busy)


@virtual
async def test_stopping_refuses_waiting_senders() -> None:
    store = GatedStore()
    settings = Settings(max_in_flight=1, drain_s=1.0)
    runtime = Runtime([Tally], store=store, settings=settings)
    await runtime.start()
    accepted = await full_of(runtime, store, "a")
    waiting = [send(runtime, "a"), send(runtime, "b")]
    await settled()
    stopping = asyncio.ensure_future(runtime.stop())
    await asyncio.sleep(0.5)
    store.let_through()
    await stopping
    await asyncio.gather(*accepted)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(type(outcome).__name__ in ("Ack", "RuntimeClosed") for outcome in outcomes)
