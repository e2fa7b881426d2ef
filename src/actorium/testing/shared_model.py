"""`SharedModel`: a log that several stores share, in plain Python, with leases and fencing as on a database server.

Invariants between any two awaits:
- `writers` names those whose statements are executed; a statement of any other writes nothing;
- a store's own belief that it owns the log may be wrong, and nothing rests on it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from actorium.store.errors import Fenced, StoreInUse, StoreUnavailable
from actorium.store.event_store import (
    PAGE_BYTES,
    AppendBatch,
    Appended,
    DeadLetter,
    Head,
    Link,
    SaveCheckpoint,
    SaveFailure,
    StreamPage,
    StreamRead,
    require_events,
)
from actorium.store.events import EncodedRecord
from actorium.store.memory import MemoryStore
from actorium.store.names import CommandRecord, StoredEventType
from actorium.store.personal.keys import KeyStore
from actorium.store.tables.dialect import Dialect
from actorium.store.tables.own_rows import Row, TableRead

_RENEWALS_PER_LEASE = 4


class _Holder:
    """The store that holds the log, as the log knows it."""

    def __init__(self, writer: int, name: str, expires_s: float) -> None:
        self.writer = writer
        self.name = name
        self.expires_s = expires_s
        self.has_session = True


class SharedModel:
    """The server: its statements take effect at once, in the order in which they arrive.

    now_s: the server's clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.log = MemoryStore(threads=False)
        self.writers: frozenset[int] = frozenset()
        self.now_s = now_s
        self._numbers = count(1)
        self._holder: _Holder | None = None
        self._watching: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Start the server, if it is not running."""
        if self._holder is None and not self.writers:
            try:
                await self.log.open()
            except StoreInUse:
                return

    def holder(self) -> str | None:
        """Return the name of the store that holds the log; None if it is free, or its holder is gone."""
        holder = self._holder
        if holder is None or not holder.has_session or holder.expires_s <= self.now_s():
            return None
        return holder.name

    def join(self, name: str, lease_s: float) -> int | None:
        """Take the log and fence whoever held it; return the number of the writer, None if the log is held."""
        if self.holder() is not None:
            return None
        writer = next(self._numbers)
        self._holder = _Holder(writer, name, self.now_s() + lease_s)
        self.writers = frozenset({writer})
        return writer

    def renew(self, writer: int, lease_s: float) -> bool:
        """Extend a lease; return False if the log was taken over."""
        if self._holder is None or self._holder.writer != writer:
            return False
        self._holder.expires_s = self.now_s() + lease_s
        return True

    def leave(self, writer: int) -> None:
        """Give the log back."""
        self.writers -= {writer}
        if self._holder is not None and self._holder.writer == writer:
            self._holder = None

    def end_session(self, writer: int) -> None:
        """Notice that the process of a writer is gone."""
        if self._holder is not None and self._holder.writer == writer:
            self._holder.has_session = False

    async def append(self, writer: int, batch: AppendBatch) -> Appended:
        """Execute an append of a writer; raise Fenced, and write nothing, if the log does not name it."""
        self._require_named(writer)
        appended = await self.log.append(batch)
        for one in self._watching:
            if not one.done():
                one.set_result(None)
        return appended

    async def grown(self, within_s: float) -> None:
        """Wait for the next append, or `within_s` seconds."""
        one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching.add(one)
        try:
            await asyncio.wait((one,), timeout=within_s)
        finally:
            self._watching.discard(one)

    async def save(self, writer: int, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        """Execute a save of a writer; raise Fenced, and write nothing, if the log does not name it."""
        self._require_named(writer)
        return await self.log.save(checkpoints)

    def _require_named(self, writer: int) -> None:
        if writer not in self.writers:
            raise Fenced(
                f"writer {writer} lost the log to another runtime, and nothing was written: stop this runtime; if it "
                "is started again, it stands by"
            )


class SharedModelStore:
    """One process's store on a shared model.

    waits: whether `open` waits while another store holds the log; otherwise it raises StoreInUse.
    """

    def __init__(self, model: SharedModel, *, name: str = "", waits: bool = False, lease_s: float = 3.0) -> None:
        self._model = model
        self._name = name or f"pid {os.getpid()}"
        self._waits = waits
        self._lease_s = lease_s
        self.writer: int | None = None
        self._lost: asyncio.Future[Fenced] | None = None
        self._held_until_s = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self.dialect: Dialect = model.log.dialect
        self.personal_keys: KeyStore = model.log.personal_keys

    async def open(self) -> None:
        if self.writer is not None:
            raise StoreInUse("the store is already open: call close() before open()", pid=os.getpid())
        await self._model.open()
        while (writer := self._model.join(self._name, self._lease_s)) is None:
            if not self._waits:
                raise StoreInUse(f"the log is in use by {self._model.holder()}: stop that runtime, or wait for it")
            await asyncio.sleep(self._lease_s / _RENEWALS_PER_LEASE)
        self.writer = writer
        self._held_until_s = self._model.now_s() + self._lease_s
        self._lost = asyncio.get_running_loop().create_future()
        self.go_on_renewing()

    async def close(self) -> None:
        writer, self.writer = self.writer, None
        self.stop_renewing()
        if writer is not None:
            self._model.leave(writer)

    def stop_renewing(self) -> None:
        """Renew the lease no more, as if the process stood still."""
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    def go_on_renewing(self) -> None:
        """Renew the lease of the open store."""
        self._renewing = asyncio.get_running_loop().create_task(self._renew_until_lost(self._require_open()))

    async def until_lost(self) -> Fenced:
        self._require_open()
        assert self._lost is not None, "it is set by open"
        return await asyncio.shield(self._lost)

    @property
    def holds_lease(self) -> bool:
        return self.writer is not None and self._model.now_s() < self._held_until_s

    async def confirm_lease(self) -> None:
        while not self.holds_lease:
            self._reads()
            await asyncio.sleep(self._lease_s / _RENEWALS_PER_LEASE)

    async def _renew_until_lost(self, writer: int) -> None:
        while self._model.renew(writer, self._lease_s):
            self._held_until_s = self._model.now_s() + self._lease_s
            await asyncio.sleep(self._lease_s / _RENEWALS_PER_LEASE)
        self._lose(Fenced("the lease ran out, and another runtime has taken over the log: stop this runtime"))

    def _lose(self, reason: Fenced) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    def _require_open(self) -> int:
        if self.writer is None:
            raise StoreUnavailable("the store is closed: open() it first")
        return self.writer

    def _reads(self) -> MemoryStore:
        self._require_open()
        if self._lost is not None and self._lost.done():
            raise self._lost.result()
        return self._model.log

    async def append(self, batch: AppendBatch) -> Appended:
        require_events(batch)
        try:
            return await self._model.append(self._require_open(), batch)
        except Fenced as reason:
            self._lose(reason)
            raise

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        try:
            return await self._model.save(self._require_open(), checkpoints)
        except Fenced as reason:
            self._lose(reason)
            raise

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        return await self._reads().read_streams(reads, max_bytes)

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        return await self._reads().read_log(after_position, limit, max_bytes)

    async def head(self) -> Head:
        return await self._reads().head()

    async def watch(self, position: int, poll_s: float) -> Head:
        while (end := await self.head()).position <= position:
            await self._model.grown(poll_s)
        return end

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        return await self._reads().find_commands(command_ids)

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        return await self._reads().read_linked(link, id, after_position, limit)

    async def load_checkpoint(self, name: str) -> int:
        return await self._reads().load_checkpoint(name)

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        return await self._reads().dead_letters(processor)

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        return await self._reads().read_rows(read)

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self._reads().query(sql, parameters)

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        return await self._reads().event_types(counted=counted)

    def describe(self) -> str:
        return "a shared log in memory (nothing survives the process)"
