"""A log that outlives its process: everything after a chosen commit is lost, as in a power cut."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from support.stores import PassedThrough

from actorium import EventStore, Runtime
from actorium.errors import StoreUnavailable
from actorium.store.event_store import (
    PAGE_BYTES,
    AppendBatch,
    Appended,
    Head,
    Link,
    SaveCheckpoint,
    SaveFailure,
    StreamPage,
    StreamRead,
)
from actorium.store.events import EncodedRecord
from actorium.store.names import CommandRecord
from actorium.store.tables.own_rows import Row, TableRead

R = TypeVar("R")

_DEAD = "the process is dead"


class CrashingStore(PassedThrough):
    """The process that uses it dies at write number `at` (from 1), an append or a save: before it, or right after.

    From then on nothing is written and nothing is answered, so that what the dying process still does in memory has
    no effect on the log. `commits` counts the writes.
    """

    def __init__(self, inner: EventStore, at: int = 0, *, after: bool = False) -> None:
        super().__init__(inner)
        self._at = at
        self._after = after
        self.commits = 0
        self.died = asyncio.Event()
        self._buried = asyncio.Event()

    async def bury(self, runtime: Runtime) -> None:
        """Clean up the rest of the process."""
        self.died.set()
        self._buried.set()
        loop = asyncio.get_running_loop()
        others = loop.get_exception_handler()

        def unless_it_is_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if str(context.get("exception")) != _DEAD and others is not None:
                others(loop, context)

        loop.set_exception_handler(unless_it_is_dead)  # nobody is left to see what its last calls raise
        root = runtime._lifecycle._root
        assert root is not None
        root.cancel()
        await asyncio.wait((root,))
        await self.inner.close()

    async def close(self) -> None:
        if not self.died.is_set():
            await self.inner.close()

    async def append(self, batch: AppendBatch) -> Appended:
        return await self._write(lambda: self.inner.append(batch))

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        return await self._write(lambda: self.inner.save(checkpoints))

    async def _write(self, write: Callable[[], Awaitable[R]]) -> R:
        await self._alive()
        if self.commits + 1 == self._at:
            if self._after:
                await write()
            self.died.set()
            await self._alive()
        self.commits += 1
        return await write()

    async def _alive(self) -> None:
        if self.died.is_set():
            await self._buried.wait()
            raise StoreUnavailable(_DEAD)

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        await self._alive()
        return await self.inner.read_streams(reads, max_bytes)

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        await self._alive()
        return await self.inner.read_log(after_position, limit, max_bytes)

    async def head(self) -> Head:
        await self._alive()
        return await self.inner.head()

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        await self._alive()
        return await self.inner.find_commands(command_ids)

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        await self._alive()
        return await self.inner.read_linked(link, id, after_position, limit)

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        await self._alive()
        return await self.inner.read_rows(read)

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        await self._alive()
        return await self.inner.query(sql, parameters)
