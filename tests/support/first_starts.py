"""Processes that die at a chosen commit of their first start, alone on a log or as nodes that share one."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from support.crashing import CrashingStore

from actorium import Runtime
from actorium.errors import Fenced
from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint, SaveFailure
from actorium.store.shared import Placement
from actorium.testing.models.cluster_model import ClusterModel, ClusterModelStore

R = TypeVar("R")
W = TypeVar("W")


class SlowSaves(CrashingStore):
    """Commands are acknowledged long before a checkpoint is saved that nothing waits for."""

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        await asyncio.sleep(1)
        return await super().save(checkpoints)


async def until_death(store: CrashingStore, runtime: Runtime, living: Coroutine[Any, Any, None]) -> None:
    life, death = asyncio.create_task(living), asyncio.create_task(store.died.wait())
    await asyncio.wait((life, death), return_when=asyncio.FIRST_COMPLETED)
    life.cancel()
    death.cancel()
    if store.died.is_set():
        await store.bury(runtime)
    await asyncio.gather(life, death, return_exceptions=True)


class DyingNode(ClusterModelStore):
    """The node that uses it is killed and fenced at write number `at` (from 1): before it, or right after."""

    def __init__(self, model: ClusterModel, at: int = 0, *, after: bool = False) -> None:
        super().__init__(model)
        self._at = at
        self._after = after
        self.commits = 0

    async def append(self, batch: AppendBatch) -> Appended:
        return await self._write(super().append, batch)

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        await asyncio.sleep(0.5)
        return await self._write(super().save, checkpoints)

    async def place(self, after: Placement) -> bool:
        return await self._write(super().place, after)

    async def pass_on(self, shards: Mapping[int, int]) -> None:
        await self._write(super().pass_on, shards)

    async def _write(self, write: Callable[[W], Awaitable[R]], what: W) -> R:
        self.commits += 1
        if self.commits == self._at:
            if self._after:
                await write(what)
            assert self.writer is not None
            self._cluster.end_session(self.writer)
            self._cluster._remove(self.writer)
            _ignore_the_dead()
        return await write(what)


def _ignore_the_dead() -> None:
    """Accept that nobody sees the errors of a process that was killed."""
    loop = asyncio.get_running_loop()
    others = loop.get_exception_handler()

    def unless_it_is_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Fenced) and others is not None:
            others(loop, context)

    loop.set_exception_handler(unless_it_is_dead)
