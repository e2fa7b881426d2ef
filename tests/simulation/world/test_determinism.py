"""A seed determines its run: in any process, at any address, after any other run."""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio._backends._asyncio import CancelScope
from support import small_bank

from actorium.simulation.world.determinism import deterministic
from actorium.simulation.world.loop import SimulatedLoop
from actorium.simulation.world.machine import Machine

TESTS = Path(__file__).resolve().parents[2]
PRINTS = """
import sys
sys.path.insert(0, sys.argv[1])
from actorium.simulation.search.place import ScenarioPlace
found = ScenarioPlace(sys.argv[2], "everything").load()
for seed in range(2):
    print("\\n".join(map(str, found.run(seed).trace)))
"""


def test_three_processes_with_three_hash_seeds_write_the_same_trace() -> None:
    program = [sys.executable, "-c", PRINTS, str(TESTS), str(TESTS / "support" / "small_bank.py")]
    traces = {
        subprocess.run(program, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(traces) == 1
    assert traces.pop().count(b"serves") >= 2


def test_a_run_does_not_depend_on_earlier_runs_or_on_memory_addresses() -> None:
    before = small_bank.transfers.run(3).fingerprint()
    ballast = [[n] * (n % 7) for n in range(20_000)]
    small_bank.everything.run(1)
    del ballast[::2]
    assert small_bank.transfers.run(3).fingerprint() == before


@pytest.mark.parametrize("ballast", [0, 3, 1_000])
def test_sets_of_cancel_scopes_and_futures_have_the_same_order_at_any_address(ballast: int) -> None:
    kept = []
    with deterministic():
        loop = SimulatedLoop(Machine(0), "node")
        scopes, futures = [], []
        for n in range(40):
            scopes.append(CancelScope())
            futures.append(loop.create_future())
            kept += [object() for _ in range(ballast * (n % 3))]
        numbers = [hash(one) for one in scopes], [hash(one) for one in futures]
        assert numbers == (list(range(40)), list(range(40)))
        assert [*set(scopes[::-1])] == scopes
        assert [*set(futures[::-1])] == futures
        loop.dispose()


def test_the_garbage_collector_is_off_during_a_run_and_restored_after_it() -> None:
    assert gc.isenabled()
    with deterministic():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_runs_leave_nothing_behind() -> None:
    def objects_after(seeds: range) -> int:
        for seed in seeds:
            small_bank.transfers.run(seed)
        gc.collect()
        return len(gc.get_objects())

    settled = objects_after(range(10))
    assert objects_after(range(10, 30)) < settled + 500


def test_a_name_contains_a_number_instead_of_an_address() -> None:
    """anyio puts the address of a scope into the message of its cancellation."""
    reasons = []
    for _ in range(2):
        with deterministic():
            machine = Machine(0)
            loop = SimulatedLoop(machine, "node")

            async def cancelled(machine: Machine = machine) -> None:
                with anyio.CancelScope() as scope:
                    scope.cancel("enough")
                    reasons.append(scope._cancel_reason)  # type: ignore[attr-defined]
                    await asyncio.sleep(0)
                machine.is_over = True

            loop.create_task(cancelled(), name="a task")
            machine.run()
            loop.dispose()
    assert reasons[0] == reasons[1] == "Cancelled via cancel scope 0 by <task a task pending>; reason: enough"


def test_all_tasks_are_those_of_the_running_loop() -> None:
    seen: list[str] = []
    before = asyncio.tasks._all_tasks  # type: ignore[attr-defined]
    with deterministic():
        machine = Machine(0)
        loop, other = SimulatedLoop(machine, "node"), SimulatedLoop(machine, "other node")

        async def look() -> None:
            await asyncio.sleep(1)
            seen.extend(task.get_name() for task in asyncio.all_tasks())
            machine.is_over = True

        other.create_task(asyncio.sleep(10), name="another node's task")
        loop.create_task(asyncio.sleep(0), name="ended")
        loop.create_task(look(), name="the first")
        loop.create_task(asyncio.sleep(10), name="the second")
        machine.run()
        loop.dispose()
        other.dispose()
    assert sorted(seen) == ["the first", "the second"]
    assert asyncio.tasks._all_tasks is before  # type: ignore[attr-defined]
    asyncio.run(sees_its_own_tasks())


async def sees_its_own_tasks() -> None:
    """Check that tasks are registered in a real loop."""
    task = asyncio.create_task(asyncio.sleep(0))
    assert task in asyncio.all_tasks()
    await task
