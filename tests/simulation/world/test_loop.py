"""The simulated event loop keeps asyncio's promises, whatever the random order, and a process can be killed."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from actorium.simulation.world.determinism import deterministic
from actorium.simulation.world.loop import NotSimulated, SimulatedLoop
from actorium.simulation.world.machine import Endless, Machine, Stuck

SEEDS = range(20)


def run(work: Callable[[SimulatedLoop], Awaitable[None]], seed: int = 0, *, reorder: float = 0.0) -> SimulatedLoop:
    """Run one coroutine on a loop to its end; raise what it raises."""
    with deterministic():
        machine = Machine(seed, reorder=reorder, steps_max=20_000)
        loop = SimulatedLoop(machine, "node")

        async def to_its_end() -> None:
            try:
                await work(loop)
            finally:
                machine.is_over = True

        task = loop.create_task(to_its_end())
        try:
            machine.run()
        finally:
            loop.dispose()
        task.result()
    return loop


@pytest.mark.parametrize("seed", SEEDS)
def test_ready_callbacks_of_one_loop_run_in_order(seed: int) -> None:
    """asyncio promises this: a transport reports the end of its data after delivering the last of it."""
    machine = Machine(seed, reorder=0.5)
    loops = [SimulatedLoop(machine, name) for name in "ab"]
    order: list[tuple[str, int]] = []
    for n in range(50):
        for loop in loops:
            loop.call_soon(order.append, (loop.name, n))
    loops[0].call_at(2_000.0, setattr, machine, "is_over", True)
    machine.run()
    for loop in loops:
        assert [n for name, n in order if name == loop.name] == list(range(50))
        loop.dispose()


def test_the_seed_decides_which_loop_runs_first_and_when_a_timer_expires() -> None:
    orders = set()
    for seed in SEEDS:
        machine = Machine(seed, reorder=0.3)
        loops = [SimulatedLoop(machine, name) for name in "ab"]
        order: list[str] = []

        async def steps(loop: SimulatedLoop, order: list[str] = order) -> None:
            for n in range(5):
                order.append(f"{loop.name}{n}")
                await asyncio.sleep(0)

        for loop in loops:
            loop.create_task(steps(loop))
        loops[0].call_later(0.001, order.append, "timer")
        loops[0].call_later(1.0, setattr, machine, "is_over", True)
        machine.run()
        orders.add(tuple(order))
        for loop in loops:
            loop.dispose()
    assert len({order.index("timer") for order in orders}) > 2
    assert len({tuple(one for one in order if one != "timer") for order in orders}) > 2


def test_a_spinning_task_meets_its_timer() -> None:
    async def spins(loop: SimulatedLoop) -> None:
        rung: list[bool] = []
        loop.call_later(0.01, rung.append, True)
        while not rung:  # noqa: ASYNC110
            await asyncio.sleep(0)

    run(spins)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_repeatedly_delivered_cancellation_lets_other_tasks_continue(seed: int) -> None:
    async def stubborn(loop: SimulatedLoop) -> None:
        async def cleans_up() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                for _ in range(3):
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(cleans_up)
            await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()

    run(stubborn, seed, reorder=0.5)


def test_threads_are_refused_and_executors_run_in_place() -> None:
    async def works(loop: SimulatedLoop) -> None:
        here = threading.current_thread()
        assert await asyncio.to_thread(threading.current_thread) is here
        assert await anyio.to_thread.run_sync(threading.current_thread) is here
        assert await loop.run_in_executor(None, threading.current_thread) is here
        with pytest.raises(NotSimulated, match="'mine' was started inside a simulated run"):
            threading.Thread(name="mine").start()

    run(works)


def test_there_is_no_network_and_no_subprocess() -> None:
    async def reaches_out(loop: SimulatedLoop) -> None:
        with pytest.raises(NotSimulated, match=r"loop\.create_connection"):
            await asyncio.open_connection("localhost", 80)
        with pytest.raises(NotSimulated, match=r"loop\.subprocess_exec"):
            await asyncio.create_subprocess_exec("true")

    run(reaches_out)


def test_an_abandoned_generator_is_closed() -> None:
    done: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0.001)
            done.append("closed")

    async def leaves(loop: SimulatedLoop) -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(0.01)
        assert done == ["closed"]

    run(leaves)


def test_a_killed_loop_runs_no_finally_until_it_is_disposed_of() -> None:
    machine = Machine(0)
    killed, other = SimulatedLoop(machine, "killed"), SimulatedLoop(machine, "other")
    seen: list[str] = []

    async def works() -> None:
        try:
            await asyncio.sleep(1.0)
            seen.append("went on")
        finally:
            seen.append("finally")

    killed.create_task(works())
    other.call_later(0.5, killed.die)
    other.call_later(5.0, setattr, machine, "is_over", True)
    machine.run()
    assert seen == []
    killed.dispose()
    assert seen == ["finally"]
    other.dispose()


def test_a_held_loop_runs_nothing_and_then_everything_in_order() -> None:
    machine = Machine(0)
    held, other = SimulatedLoop(machine, "held"), SimulatedLoop(machine, "other")
    seen: list[tuple[float, int]] = []
    began_s = machine.now_s
    held.call_soon(held.hold_until, began_s + 10.0)
    for n in range(3):
        held.call_later(1.0 + n, lambda n=n: seen.append((round(machine.now_s - began_s), n)))
    other.call_later(20.0, setattr, machine, "is_over", True)
    machine.run()
    assert seen == [(10, 0), (10, 1), (10, 2)]
    for loop in (held, other):
        loop.dispose()


def test_alarms_are_called_before_their_step_however_many_there_are() -> None:
    machine = Machine(0)
    loop = SimulatedLoop(machine, "node")
    seen: list[object] = []
    loop.set_alarm(3, lambda: seen.append("second"))
    loop.set_alarm(2, lambda: seen.append("first"))
    loop.set_alarm(3, lambda: seen.append("third"))
    for n in range(1, 4):
        loop.call_soon(seen.append, n)
    loop.call_soon(setattr, machine, "is_over", True)
    machine.run()
    loop.dispose()
    assert seen == [1, "first", 2, "second", "third", 3]


def test_a_stuck_run_and_an_endless_run_are_distinguished() -> None:
    async def waits(loop: SimulatedLoop) -> None:
        await loop.create_future()

    async def goes_on(loop: SimulatedLoop) -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1.0)

    with pytest.raises(Stuck):
        run(waits)
    with pytest.raises(Endless):
        run(goes_on)


def test_an_error_in_a_callback_is_reported() -> None:
    async def fails(loop: SimulatedLoop) -> None:
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)

    assert [type(one["exception"]) for one in run(fails).unseen] == [ZeroDivisionError]
