"""Idle actors are unloaded from memory and come back with the same state."""

import asyncio

import pytest
from support.bank import Add, Tally
from support.stores import GatedStore
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, NotFound, Passivation, Settings
from actorium.application import Runtime


def passivation(**policy: float | None) -> Settings:
    return Settings(passivation=Passivation(**policy))  # type: ignore[arg-type]


@virtual
async def test_an_actor_without_mail_is_passivated_after_its_idle_time() -> None:
    async with Runtime([Tally], store="memory://", settings=passivation(idle_s=100.0)) as runtime:
        await runtime.send(Add("t", 5))
        await asyncio.sleep(70)
        assert runtime.statistics().live_actors == 1
        await runtime.send(Add("t", 5))
        await asyncio.sleep(70)
        assert runtime.statistics().live_actors == 1
        await asyncio.sleep(60)
        assert (runtime.statistics().live_actors, runtime.statistics().passivations) == (0, 1)
        engine = runtime._engine
        assert engine is not None
        assert not engine.kinds[Tally].live


@virtual
async def test_without_an_idle_time_it_stays() -> None:
    async with Runtime([Tally], store="memory://", settings=passivation(idle_s=None)) as runtime:
        await runtime.send(Add("t", 5))
        await asyncio.sleep(100_000)
        assert runtime.statistics().live_actors == 1


@virtual
async def test_a_passivated_actor_comes_back_with_its_state() -> None:
    async with Runtime([Tally], store="memory://", settings=passivation(idle_s=1.0)) as runtime:
        await runtime.send(Add("t", 5, events=3))
        before = await runtime.get(Tally, "t")
        hydrations = runtime.statistics().hydrations
        await asyncio.sleep(10)
        assert runtime.statistics().live_actors == 0
        assert await runtime.get(Tally, "t") == before
        assert runtime.statistics().hydrations == hydrations + 1
        assert (await runtime.send(Add("t", 1, needs=15))).version == 4


@virtual
async def test_an_actor_with_an_append_in_flight_stays() -> None:
    store = GatedStore()
    settings = passivation(idle_s=1.0, max_live=1)
    async with Runtime([Tally], store=store, settings=settings) as runtime:
        store.shut()
        sent = [asyncio.ensure_future(runtime.send(Add(id), timeout_s=1_000)) for id in "abcdefghijkl"]
        await asyncio.sleep(100)
        behind = asyncio.ensure_future(runtime.send(Add("a", needs=1)))
        await asyncio.sleep(10)
        assert runtime.statistics().live_actors == 12
        store.let_through()
        await asyncio.gather(*sent)
        assert (await behind).version == 2


@pytest.mark.parametrize("max_live", [1, 2, 7, 8, 20])
@virtual
async def test_the_live_limit_holds_with_second_chances(max_live: int) -> None:
    async with Runtime([Tally], store="memory://", settings=passivation(idle_s=None, max_live=max_live)) as runtime:
        most = 0
        for n in range(400):
            await runtime.send(Add(f"t{n}"))
            await asyncio.sleep(0.001)
            most = max(most, runtime.statistics().live_actors)
        engine = runtime._engine
        assert engine is not None
        assert most <= max_live + max_live // 8 + 1
        assert len(engine.kinds[Tally].live) == runtime.statistics().live_actors
        assert runtime.statistics().passivations == 400 - runtime.statistics().live_actors
        assert (await runtime.get(Tally, "t0")).total == 1


@virtual
async def test_the_least_recently_used_actors_are_passivated_first() -> None:
    async with Runtime([Tally], store="memory://", settings=passivation(idle_s=None, max_live=10)) as runtime:
        engine = runtime._engine
        assert engine is not None
        for n in range(300):
            for id in ("hot", "warm", f"once{n}"):
                await runtime.send(Add(id))
                await asyncio.sleep(0.001)
            assert {"hot", "warm"} <= engine.kinds[Tally].live.keys() or n < 1
        assert runtime.statistics().hydrations <= 303


@virtual
async def test_reads_of_missing_aggregates_do_not_fill_memory() -> None:
    async with Runtime([Tally], store="memory://", settings=passivation(idle_s=5.0, max_live=10)) as runtime:
        for n in range(100):
            with pytest.raises(NotFound):
                await runtime.get(Tally, f"nobody{n}")
            await asyncio.sleep(0.001)
        assert runtime.statistics().live_actors <= 12
        await asyncio.sleep(20)
        assert runtime.statistics().live_actors == 0


@virtual
async def test_a_stream_has_one_live_actor_under_any_load() -> None:
    """With a small limit and all other actors busy, the new actor itself must not be passivated."""
    store = GatedStore()
    async with Runtime([Tally], store=store, settings=passivation(max_live=1)) as runtime:
        store.shut()
        sent = [asyncio.ensure_future(runtime.send(Add(id))) for id in "aaabbbcccabc"]
        await settled()
        assert runtime.statistics().live_actors == 3
        store.let_through()
        assert sorted(ack.version for ack in await asyncio.gather(*sent)) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


@pytest.mark.parametrize("wrong", [{"idle_s": 0}, {"idle_s": -1.0}, {"max_live": 0}])
def test_an_invalid_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Passivation(**wrong)  # type: ignore[arg-type]
