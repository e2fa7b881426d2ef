"""A bug or a broken stream stops one command or one actor, and affects nothing else."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest
from support.bank import Add, Added, FailToDecide, FailToEvolve, Tally
from support.stores import FaultyStore, GatedStore, PassedThrough, PoisonedStore, append
from support.virtual_time import settled, virtual

from actorium import Aggregate, Command, CommandFailed, Event, Passivation, Settings, decide, evolve
from actorium.application import Runtime
from actorium.errors import HydrationFailed, StoreUnavailable
from actorium.store.event_store import StreamPage, StreamRead
from actorium.store.memory import MemoryStore
from actorium.store.source import SeededSource
from actorium.types import Metadata


class Unknown(Event):
    """Nothing evolves it."""


class Bump(Command):
    pass


class Bumped(Event):
    pass


class Uncopyable(Aggregate):
    held: Any = None

    @decide
    def bump(self, command: Bump) -> Bumped:
        return Bumped()

    @evolve
    def bumped(self, event: Bumped) -> None:
        self.held = (n for n in range(3))


class Knock(Command):
    pass


class Knocked(Event):
    pass


class Unborn(Aggregate):
    level: int = 0

    def __post_init__(self) -> None:
        raise ZeroDivisionError("a bug in the constructor")

    @decide
    def knock(self, command: Knock) -> Knocked:
        return Knocked()

    @evolve
    def knocked(self, event: Knocked) -> None:
        self.level += 1


class Misbehave(Command):
    how: str = ""


class Misbehaving(Aggregate):
    level: int = 0

    @decide
    def misbehave(self, command: Misbehave, metadata: Metadata) -> Bumped:
        returned: Any = {
            "no event": object(),
            "a list of no events": [3],
            "an event of somebody else": Added(3),
            "an unknown event": Unknown(),
        }[command.how]
        return returned  # type: ignore[no-any-return]

    @evolve
    def bumped(self, event: Bumped) -> None:
        self.level += 1


@virtual
async def test_a_bug_in_decide_fails_that_command_only() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        before, buggy, behind = await asyncio.gather(
            runtime.send(Add("t")), runtime.send(FailToDecide("t")), runtime.send(Add("t")), return_exceptions=True
        )
        assert isinstance(buggy, CommandFailed)
        assert "FailToDecide on Tally<t@1> failed in its handler: ZeroDivisionError: a bug in decide" in str(buggy)
        assert isinstance(buggy.__cause__, ZeroDivisionError)
        assert (before.version, behind.version) == (1, 2)  # type: ignore[union-attr]


@virtual
async def test_a_bug_in_evolve_discards_the_state_and_others_continue() -> None:
    store = GatedStore()
    async with Runtime([Tally], store=store) as runtime:
        store.shut()
        before = [asyncio.ensure_future(runtime.send(Add("t", 5))) for _ in range(3)]
        await settled()
        buggy = asyncio.ensure_future(runtime.send(FailToEvolve("t")))
        behind = [asyncio.ensure_future(runtime.send(Add("t", 5))) for _ in range(3)]
        other = asyncio.ensure_future(runtime.send(Add("u", 5)))
        await settled()
        store.let_through()
        with pytest.raises(CommandFailed, match="the @evolve method for its event"):
            await buggy
        assert [ack.version for ack in await asyncio.gather(*before, *behind)] == [1, 2, 3, 4, 5, 6]
        assert (await other).version == 1
        assert (await runtime.get(Tally, "t")).total == 30


@virtual
async def test_a_bug_in_evolve_of_a_new_aggregate_leaves_nothing() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(CommandFailed):
            await runtime.send(FailToEvolve("t"))
        assert runtime.statistics().position == 0
        assert (await runtime.send(Add("t"))).version == 1


@pytest.mark.parametrize("how", ["no event", "a list of no events", "an event of somebody else", "an unknown event"])
@virtual
async def test_a_handler_that_returns_an_unevolved_event_fails_its_command(how: str) -> None:
    async with Runtime([Misbehaving, Tally], store="memory://") as runtime:
        with pytest.raises(CommandFailed):
            await runtime.send(Misbehave("m", how))
        assert runtime.statistics().position == 0
        assert runtime.statistics().in_flight == 0


@virtual
async def test_a_state_that_cannot_be_copied_fails_its_readers_only() -> None:
    async with Runtime([Uncopyable, Tally], store="memory://") as runtime:
        await runtime.send(Bump("u"))
        with pytest.raises(CommandFailed, match="Uncopyable<u@1> cannot be copied"):
            await runtime.get(Uncopyable, "u")
        assert (await runtime.send(Bump("u"))).version == 2


@virtual
async def test_a_constructor_that_raises_fails_its_aggregate_only() -> None:
    async with Runtime([Unborn, Tally], store="memory://") as runtime:
        with pytest.raises(HydrationFailed, match="a bug in the constructor"):
            await runtime.send(Knock("k"))
        assert runtime.statistics().in_flight == 0
        assert (await runtime.send(Add("t"))).version == 1


async def poisoned(*ids: str) -> PoisonedStore:
    store = PoisonedStore()
    await store.open()
    for id in ids:
        await append(store.inner, ("Tally", id), 0, Added(1), Added(2))
        store.poisoned.add(id)
    await store.close()
    return store


@virtual
async def test_a_poisoned_stream_is_refused_and_the_others_work() -> None:
    store = await poisoned("p")
    async with Runtime([Tally], store=store) as runtime:
        outcomes = await asyncio.gather(*(runtime.send(Add(id)) for id in ("a", "p", "b", "p")), return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes] == ["Ack", "HydrationFailed", "Ack", "HydrationFailed"]
        assert re.search("Tally<p> .* version 1", str(outcomes[1]))
        assert outcomes[1].__cause__ is not None  # type: ignore[union-attr]
        with pytest.raises(HydrationFailed):
            await runtime.get(Tally, "p")
        with pytest.raises(HydrationFailed):
            await runtime.get(Tally, "p", at_version=1)
        assert runtime.statistics().failed_actors == 1


@virtual
async def test_an_event_of_another_aggregate_in_a_stream_is_named() -> None:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "t"), 0, Added(1), Bumped())
    await store.close()
    async with Runtime([Tally, Uncopyable], store=store) as runtime:
        with pytest.raises(HydrationFailed, match="Bumped at version 2: its class has no @evolve method for Bumped"):
            await runtime.send(Add("t"))


@virtual
async def test_a_poisoned_actor_is_retried_with_exponential_backoff() -> None:
    store = await poisoned("p")
    settings = Settings(hydration_backoff_s=1.0, hydration_backoff_max_s=5.0, passivation=Passivation(idle_s=None))
    loop = asyncio.get_running_loop()
    async with Runtime([Tally], store=store, settings=settings, source=SeededSource(3)) as runtime:
        engine = runtime._engine
        assert engine is not None
        waits = []
        for count in range(1, 7):
            with pytest.raises(HydrationFailed):
                await runtime.send(Add("p"))
            (failures, retry_at, _), *_ = engine.supervisor._failures.values()
            assert failures == count
            waits.append(retry_at - loop.time())
            with pytest.raises(HydrationFailed, match=rf"\(after {count} failed attempts?, next try in"):
                await runtime.send(Add("p"))
            await asyncio.sleep(waits[-1] + 0.01)
        for wait_s, least in zip(waits, [1, 2, 4, 5, 5, 5], strict=True):
            assert least <= wait_s <= min(5.0, least * 1.25)
        store.poisoned.clear()
        assert (await runtime.send(Add("p"))).version == 3
        assert runtime.statistics().failed_actors == 0
        assert (await runtime.get(Tally, "p")).total == 4


@virtual
async def test_an_actor_may_fail_for_months() -> None:
    store = await poisoned("p")
    settings = Settings(hydration_backoff_s=0.001, hydration_backoff_max_s=0.002)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        for _ in range(1_100):
            with pytest.raises(HydrationFailed):
                await runtime.send(Add("p"))
            await asyncio.sleep(0.01)
        assert (await runtime.send(Add("t"))).version == 1


@virtual
async def test_failed_actors_are_passivated_like_others() -> None:
    store = await poisoned("p", "q")
    settings = Settings(passivation=Passivation(idle_s=10.0), hydration_backoff_s=0.1)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        for id in ("p", "q"):
            with pytest.raises(HydrationFailed):
                await runtime.send(Add(id))
        await asyncio.sleep(30.0)
        assert runtime.statistics().failed_actors == 0
        assert runtime.statistics().live_actors == 0


@virtual
async def test_an_unavailable_store_fails_its_users_and_then_serves_again() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("warm"))
        store.reads_fail = True
        with pytest.raises(StoreUnavailable):
            await runtime.send(Add("cold"))
        with pytest.raises(StoreUnavailable):
            await runtime.get(Tally, "cold")
        assert (await runtime.send(Add("warm"))).version == 2
        store.reads_fail = False
        assert (await runtime.send(Add("cold"))).version == 1
        store.faults.extend(["before", "before"])
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await runtime.send(Add("warm"))
        assert (await runtime.send(Add("warm"))).version == 3


class Choosy(PassedThrough):
    """Reads no page that holds a stream of this id, whatever else is wanted with it."""

    async def read_streams(self, reads: Sequence[StreamRead]) -> list[StreamPage]:
        if any(read.stream.id == "poison" for read in reads):
            raise ValueError("no such stream can be")
        return await super().read_streams(reads)


@virtual
async def test_a_stream_whose_read_cannot_start_fails_alone() -> None:
    store = Choosy()
    async with Runtime([Tally], store=store) as runtime:
        names = [f"t{n}" for n in range(20)]
        outcomes = await asyncio.gather(
            *(runtime.send(Add(name)) for name in (*names[:10], "poison", *names[10:])), return_exceptions=True
        )
        assert [type(one).__name__ for one in outcomes] == ["Ack"] * 10 + ["HydrationFailed"] + ["Ack"] * 10
