"""Patches for behaviour of Python and its libraries that is not deterministic, in place while a run lasts."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from anyio._backends import _asyncio as backend

from actorium.simulation.world import loop as simulated
from actorium.simulation.world.loop import NotSimulated
from actorium.store.raised import mask_nothing


@contextmanager
def deterministic() -> Iterator[None]:
    """Make a run independent of memory addresses, threads, the garbage collector, and of the runs before it.

    - anyio keeps cancel scopes in sets, which iterate in the order of hashes, which are addresses, and names scopes by
      their addresses: scopes get numbers instead.
    - Functions that anyio would run in a worker thread run in place; starting a thread raises NotSimulated.
    - The garbage collector would close abandoned coroutines at arbitrary steps: it is off.
    - asyncio keeps all tasks in a weak set, in the order of addresses: `asyncio.all_tasks()` gets the loop's own list.
    - An abandoned async generator is closed by a task of its loop, as in asyncio.
    - Personal data that an earlier run read is not masked any more: the keys of this run have the same ids. They would
      be looked for before they are made, so a node would take them for destroyed.
    """
    following = count()
    by_identity: dict[int, int] = {}
    held: list[Any] = []

    def number_of(thing: Any) -> int:
        number = by_identity.get(id(thing))
        if number is None:
            number = by_identity[id(thing)] = next(following)
            held.append(thing)  # its address must not be reused while the run lasts
        return number

    async def in_place(cls: Any, func: Any, args: Any, abandon_on_cancel: bool = False, limiter: Any = None) -> Any:
        await cls.checkpoint()
        return func(*args)

    simulated.begin_numbers()
    mask_nothing()
    scope, asyncio_backend, names = backend.CancelScope, backend.AsyncIOBackend, vars(backend)
    before = scope.__hash__, asyncio_backend.__dict__["run_sync_in_worker_thread"], threading.Thread.start
    every_task: Any = vars(asyncio.tasks)["_all_tasks"]
    hooks, collects = sys.get_asyncgen_hooks(), gc.isenabled()
    scope.__hash__ = number_of  # type: ignore[assignment, method-assign]
    names["id"] = number_of
    asyncio_backend.run_sync_in_worker_thread = classmethod(in_place)  # type: ignore[method-assign, assignment]
    threading.Thread.start = _refuse  # type: ignore[method-assign, assignment]
    every_task.add = callable  # called with each new task: one call into C instead of a weak reference
    vars(asyncio.tasks)["_all_tasks"] = _TasksOfTheLoop()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=_finish)
    gc.disable()
    try:
        yield
    finally:
        scope.__hash__, asyncio_backend.run_sync_in_worker_thread, threading.Thread.start = before  # type: ignore[method-assign]
        del names["id"], every_task.add
        vars(asyncio.tasks)["_all_tasks"] = every_task
        sys.set_asyncgen_hooks(*hooks)
        held.clear()
        backend._task_states.clear()
        if collects:
            gc.enable()


class _TasksOfTheLoop:
    """The tasks of the running loop, as `asyncio.all_tasks` looks through them."""

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        loop = asyncio.get_running_loop()
        return iter(loop.tasks if isinstance(loop, simulated.SimulatedLoop) else ())


def _refuse(thread: threading.Thread) -> None:
    raise NotSimulated(
        f"the thread {thread.name!r} was started inside a simulated run, where it would run in real time: "
        "use asyncio.to_thread, which the simulation runs in place, or put the code that needs the thread behind "
        "an object of your own and replace that object in the scenario"
    )


def _finish(generator: AsyncGenerator[Any, Any]) -> None:
    loop = asyncio._get_running_loop()
    if loop is not None and not loop.is_closed():
        loop.create_task(generator.aclose(), name="end of a generator")
