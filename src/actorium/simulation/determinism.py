"""What the libraries beneath do that a simulated run cannot have, replaced while the run lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from anyio._backends import _asyncio as backend

from actorium.simulation import loop as simulated


class RealThread(RuntimeError):
    """A thread was started inside a simulated run, where it would run in real time, in any order."""


@contextmanager
def deterministic() -> Iterator[None]:
    """Make one run independent of memory addresses and threads, and of the runs before it.

    anyio keeps cancel scopes in sets, which iterate in the order of hashes, which are addresses: scopes get numbers
    instead. Functions that anyio would give to a worker thread run in place; starting a thread raises RealThread.
    """
    following = count()
    by_identity: dict[int, int] = {}
    held: list[Any] = []

    def number_of(scope: Any) -> int:
        number = by_identity.get(id(scope))
        if number is None:
            number = by_identity[id(scope)] = next(following)
            held.append(scope)  # its address must not be given to another while the run lasts
        return number

    async def in_place(cls: Any, func: Any, args: Any, abandon_on_cancel: bool = False, limiter: Any = None) -> Any:
        await cls.checkpoint()
        return func(*args)

    def refuse(thread: Any) -> None:
        raise RealThread(
            f"the thread {thread.name!r} was started inside a simulated run: it would run in real time; give the work "
            "to asyncio.to_thread, which the simulation runs in place, or leave the part that needs it out"
        )

    simulated.begin_numbers()
    scope, asyncio_backend = backend.CancelScope, backend.AsyncIOBackend
    before = scope.__hash__, asyncio_backend.__dict__["run_sync_in_worker_thread"], threading.Thread.start
    scope.__hash__ = number_of  # type: ignore[assignment, method-assign]
    asyncio_backend.run_sync_in_worker_thread = classmethod(in_place)  # type: ignore[method-assign, assignment]
    threading.Thread.start = refuse  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        scope.__hash__, asyncio_backend.run_sync_in_worker_thread, threading.Thread.start = before  # type: ignore[method-assign]
        held.clear()
        backend._task_states.clear()
