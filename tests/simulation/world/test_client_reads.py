"""A client's long-running reads: across crashes, nothing is skipped and nothing false is delivered."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from support.planted_bugs import Cell, Write, Written
from support.small_scenarios import Add, Added, Sum

from actorium import ConfigurationError, NotFound, Projection, Runtime, on, query
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.processors.processors import AllDeadLetters
from actorium.runtime.projections.queries import Watch
from actorium.sagas.sagas import Sagas
from actorium.sagas.submissions import Submissions
from actorium.simulation import Faults, Kind, SimulatedRuntime, World
from actorium.simulation.world.client_groups import SimulatedDeadLetters, SimulatedSagas, SimulatedSubmissions
from actorium.simulation.world.client_reads import Answers, FromPlace, SavedReader
from actorium.simulation.world.surroundings import ConnectionLost

CRASHES = Faults.only(Kind.CRASH, Kind.CRASH_AFTER_COMMIT, Kind.CRASH_BEFORE_COMMIT, Kind.READ_FAILED, rate=0.2)


class Total(Projection):
    amount: int = 0

    @on
    def added(self, event: Added) -> None:
        self.amount += event.amount

    @query
    def now(self) -> int:
        return self.amount


def run(
    scenario: Callable[[World, SimulatedRuntime], Awaitable[None]], *, seed: int = 0, faults: Faults = CRASHES
) -> World:
    """Run a scenario with sums and cells, in which nothing is violated."""
    world = World(seed, faults)

    async def whole(world: World) -> None:
        await scenario(world, world.runtime([Sum, Cell, Total]))

    world.run(whole)
    assert world.violation is None
    return world


async def add(runtime: SimulatedRuntime, number: int = 6) -> None:
    for n in range(1, number + 1):
        await runtime.send(Add("a", n))
        await runtime.send(Write("c", n))


async def first(number: int, items: Any) -> list[Any]:
    return [await anext(items) for _ in range(number)]


@pytest.mark.parametrize("seed", range(4))
def test_events_are_delivered_once_and_in_order_across_crashes(seed: int) -> None:
    read: list[Any] = []

    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        await runtime.send(Add("a", 0))
        writing = asyncio.create_task(add(runtime))
        subscription = runtime.events(after=1, types=[Added])
        read.extend(await first(5, subscription))
        assert subscription.position == read[-1].position - 1
        subscription.close()
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)
        await writing

    world = run(scenario, seed=seed)
    assert [one.event.amount for one in read] == [1, 2, 3, 4, 5]
    assert [one.position for one in read] == sorted(one.position for one in read)
    assert len(world.nodes[0].lives) > 1


def test_events_of_one_stream() -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        await add(runtime, 2)
        read = await first(2, runtime.events(aggregate=Cell, id="c"))
        assert [one.event for one in read] == [Written(1), Written(2)]
        with pytest.raises(ConfigurationError):
            await anext(runtime.events(aggregate=Cell))

    run(scenario, faults=Faults.none())


def test_an_event_of_a_cancelled_wait_is_delivered_by_the_next_one() -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        subscription = runtime.events()
        waits = asyncio.create_task(anext(subscription))  # type: ignore[arg-type]
        await asyncio.sleep(1.0)
        adding = asyncio.create_task(add(runtime, 2))
        written = asyncio.Event()
        world.nodes[0].witness.listeners.append(lambda records: written.set())
        await written.wait()
        waits.cancel()
        await asyncio.wait([waits])
        await adding
        assert [one.position for one in await first(4, subscription)] == [1, 2, 3, 4]

    run(scenario, faults=Faults.none())


@pytest.mark.parametrize("seed", range(4))
def test_unsaved_events_of_a_subscription_are_delivered_again_after_a_crash(seed: int) -> None:
    read: list[int] = []

    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        async with runtime.subscribe("reader", types=[Added]) as subscription:
            assert subscription.name == "reader"
            writing = asyncio.create_task(add(runtime))
            async for recorded in subscription:
                read.append(recorded.event.amount)
                await subscription.save()
                if recorded.event.amount == 3:
                    runtime.crash()
                if recorded.event.amount == 6:
                    break
            assert subscription.saved_position <= subscription.position
        await writing
        async with runtime.subscribe("reader", types=[Added]) as again:
            await runtime.send(Add("a", 7))
            async for recorded in again:
                read.append(recorded.event.amount)
                if recorded.event.amount == 7:
                    break

    run(scenario, seed=seed)
    assert list(dict.fromkeys(read)) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("seed", range(4))
def test_a_query_is_watched_across_crashes(seed: int) -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        writing = asyncio.create_task(add(runtime))
        answers = []
        async for answer in runtime.watch(Total.now):
            answers.append(answer)
            if answer == 21:
                break
        assert all(one != other for one, other in pairwise(answers))
        await writing

    run(scenario, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_a_history_continues_after_a_crash_and_ends(seed: int) -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        await add(runtime)
        changes = []
        async for change in runtime.history(Sum, "a", after_version=1):
            changes.append((change.version, change.before.amount, change.after.amount))
            if change.version == 3:
                runtime.crash()
        assert changes == [(2, 1, 3), (3, 3, 6), (4, 6, 10), (5, 10, 15), (6, 15, 21)]
        with pytest.raises(NotFound):
            await anext(runtime.history(Sum, "z"))

    run(scenario, seed=seed)


def test_a_told_command_takes_effect_unless_its_process_dies() -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        await runtime.tell(Add("a", 5), correlation_id="flow", headers={"by": "me"})
        (recorded,) = await first(1, runtime.events())
        assert (recorded.metadata.correlation_id, recorded.metadata.headers) == ("flow", {"by": "me"})
        runtime.crash()
        await runtime.tell(Add("a", 6))  # waits until the next life serves
        await first(2, runtime.events())

    run(scenario, faults=Faults.none())


def test_a_past_state_is_read_and_a_submission_has_its_metadata() -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        ack = await runtime.send(Add("a", 5))
        await runtime.submit(Add("a", 6), correlation_id="flow", causation_id="cause", headers={"by": "me"})
        recorded = [one async for one in runtime.history(Sum, "a", after_version=1)]
        while not recorded:
            await asyncio.sleep(0.1)
            recorded = [one async for one in runtime.history(Sum, "a", after_version=1)]
        assert recorded[0].metadata.correlation_id == "flow"
        assert recorded[0].metadata.headers == {"by": "me"}
        assert (await runtime.get(Sum, "a", at_position=ack.position, timeout_s=5)).amount == 5
        assert (await runtime.get(Sum, "a", at_time=recorded[0].recorded_at)).amount == 11
        assert await runtime.query(Total.now, after=ack.position, timeout_s=5) >= 5

    run(scenario, faults=Faults.none())


def test_a_process_is_stopped_gracefully_and_started_again() -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        async with runtime.lifespan():
            await add(runtime, 1)
            assert runtime.statistics().in_flight == 0
            assert (await runtime.store.head()).position == 2
            assert Sum in runtime.catalog.aggregates
            ending = asyncio.create_task(runtime.ended())
            await asyncio.sleep(0)
        await ending
        with pytest.raises(ConnectionLost):
            runtime.statistics()
        await runtime.start()
        runtime.crash()
        ended = asyncio.create_task(runtime.ended())
        assert isinstance(await ended, ConnectionLost)
        await runtime.stop()  # there is none

    world = run(scenario, faults=Faults.none())
    assert [one.line.text for one in world.noted if "crashes" in one.line.text] == [
        "node1 crashes: stopped by the scenario",
        "node1 crashes: by the scenario",
    ]


@pytest.mark.parametrize("name", sorted(name for name in dir(Runtime) if name in dir(SimulatedRuntime)))
def test_a_method_of_the_simulation_has_the_parameters_of_the_real_one(name: str) -> None:
    real, simulated = getattr(Runtime, name), getattr(SimulatedRuntime, name)
    if not name.startswith("_") and inspect.isfunction(real) and inspect.isfunction(simulated):
        expected, found = inspect.signature(real).parameters, inspect.signature(simulated).parameters
        assert {one: (expected[one].kind, expected[one].default) for one in expected} == {
            one: (found[one].kind, found[one].default) for one in found
        }


READS = ("catalog", "causes", "events", "get", "history", "query", "statistics", "store", "subscribe", "watch")
LIFE = ("ended", "lifespan", "start", "stop")


@pytest.mark.parametrize("name", ["send", "submit", "tell", *READS, *LIFE])
def test_the_simulation_has_the_methods_of_the_real_runtime(name: str) -> None:
    assert name in public(Runtime) & public(SimulatedRuntime)


GROUPS = [(Sagas, SimulatedSagas), (Submissions, SimulatedSubmissions), (AllDeadLetters, SimulatedDeadLetters)]


@pytest.mark.parametrize(("real", "simulated"), GROUPS)
def test_a_group_of_the_simulation_has_the_methods_and_parameters_of_the_real_one(real: type, simulated: type) -> None:
    assert public(real) == public(simulated)
    for name in public(real):
        expected = inspect.signature(getattr(real, name)).parameters
        assert list(inspect.signature(getattr(simulated, name)).parameters) == list(expected)


def test_a_submission_that_waits_is_listed() -> None:
    async def scenario(world: World, runtime: SimulatedRuntime) -> None:
        await runtime.submit(Add("a", 1), after_s=60, command_id="later")
        assert [one.status async for one in runtime.submissions.list(status="waiting")] == ["waiting"]
        assert [one async for one in runtime.submissions.list(status="done")] == []

    run(scenario, faults=Faults.none())


def public(face: type) -> set[str]:
    return {name for name in dir(face) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("real", "simulated"), [(Subscription, FromPlace), (DurableSubscription, SavedReader), (Watch, Answers)]
)
def test_an_iterator_of_the_simulation_has_every_method_of_the_real_one(real: type, simulated: type) -> None:
    assert public(real) <= public(simulated)
