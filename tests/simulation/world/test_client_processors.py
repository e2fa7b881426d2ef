"""A client's work on processors and parked events: repeated across crashes, and done once."""

import asyncio
import inspect
from collections.abc import Callable
from typing import TypeVar

import pytest
from support.small_scenarios import Add, Added, Sum

from actorium import Projection, on, query
from actorium.runtime.processors.processor import Processor
from actorium.simulation import Faults, Kind, SimulatedRuntime, World
from actorium.simulation.world.client_groups import SimulatedProcessor
from actorium.simulation.world.surroundings import ConnectionLost

R = TypeVar("R")


def public(face: type) -> set[str]:
    return {name for name in dir(face) if not name.startswith("_")}


def test_a_processor_of_the_simulation_has_the_methods_and_parameters_of_the_real_one() -> None:
    assert public(Processor) - public(SimulatedProcessor) == {
        "prepare",
        "run",
        "between_pages",
        "follow",
        "rest",
        "is_elsewhere",
    }  # for the runtime alone
    for name in public(SimulatedProcessor):
        real, simulated = getattr(Processor, name, None), getattr(SimulatedProcessor, name)
        if inspect.isfunction(real):
            assert list(inspect.signature(simulated).parameters) == list(inspect.signature(real).parameters)


is_broken = True


class Fragile(Projection):
    amount: int = 0

    @on
    def added(self, event: Added) -> None:
        if event.amount == 2 and is_broken:
            raise ValueError("two")
        self.amount += event.amount

    @query
    def total(self) -> int:
        return self.amount


async def served(runtime: SimulatedRuntime, read: Callable[[], R]) -> R:
    """Read from the live process, as soon as there is one."""
    await runtime.start()
    return read()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", ["retry", "retry one", "discard", "retry by processor", "discard by processor"])
def test_a_parked_event_is_repaired_across_crashes(seed: int, way: str) -> None:
    async def scenario(world: World) -> None:
        global is_broken
        is_broken = True
        runtime = world.runtime([Sum, Fragile])
        for number in range(1, 4):
            await runtime.send(Add("a", number))
        while not (letters := await served(runtime, lambda: runtime.dead_letters.list(Fragile))):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        (letter,) = letters
        is_broken = False
        processor = await served(runtime, lambda: runtime.processors[Fragile])
        if way == "retry":
            await runtime.dead_letters.retry()
        elif way == "retry one":
            assert await runtime.dead_letters.retry(letter) == 1
        elif way == "discard":
            assert await runtime.dead_letters.discard(letter, reason="two is unlucky")
        elif way == "retry by processor":
            assert await processor.retry(letter.position) == 1
        else:
            assert await processor.discard(letter.position, "two is unlucky")
        assert await served(runtime, lambda: runtime.dead_letters.list()) == []
        discarded = await served(runtime, lambda: processor.dead_letters(discarded=True))
        assert [one.position for one in discarded] == ([letter.position] if "discard" in way else [])

    world = World(seed, Faults.only(Kind.CRASH, Kind.REPLY_LOST, rate=0.2))
    world.run(scenario)
    assert world.violation is None


def test_processors_are_paused_and_reset() -> None:
    async def scenario(world: World) -> None:
        runtime = world.runtime([Sum, Fragile])
        await runtime.start()
        processor = runtime.processors[Fragile]
        assert set(runtime.processors) >= {Fragile}
        assert len(runtime.processors) == len(list(runtime.processors))
        processor.pause()
        await runtime.send(Add("a", 1))
        await asyncio.sleep(5)
        assert await runtime.query(Fragile.total) == 0
        processor.resume()
        assert await runtime.query(Fragile.total, after=1, timeout_s=5) == 1
        await processor.reset()
        assert await runtime.query(Fragile.total, after=1, timeout_s=5) == 1
        assert (processor.name, processor.position) == (processor.statistics().name, 1)
        runtime.crash()
        with pytest.raises(ConnectionLost):
            runtime.dead_letters.list()

    world = World(0, Faults.none())
    world.run(scenario)
    assert world.violation is None
