"""Real stores under a test's control: commits that wait or fail before or after they are written, reads that fail."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from actorium import EventStore
from actorium.errors import StoreUnavailable
from actorium.store.errors import CommitUnknown
from actorium.store.event_store import (
    PAGE_BYTES,
    Append,
    AppendBatch,
    Appended,
    DeadLetter,
    Head,
    Link,
    SaveCheckpoint,
    SaveFailure,
    StreamPage,
    StreamRead,
)
from actorium.store.events import EncodedEvent, EncodedRecord, Event, as_json, event_type_of
from actorium.store.memory import MemoryStore
from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.tables.dialect import Dialect
from actorium.store.tables.own_rows import Row, TableRead

R = TypeVar("R")

Fault = Literal["before", "after", "slow", "none"]


class PassedThrough:
    """A store that hands every call to another one."""

    def __init__(self, inner: EventStore | None = None) -> None:
        self.inner: EventStore = inner or MemoryStore()

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def append(self, batch: AppendBatch) -> Appended:
        return await self.inner.append(batch)

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        return await self.inner.save(checkpoints)

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        return await self.inner.read_streams(reads, max_bytes)

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        return await self.inner.read_log(after_position, limit, max_bytes)

    async def head(self) -> Head:
        return await self.inner.head()

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        return await self.inner.find_commands(command_ids)

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        return await self.inner.read_linked(link, id, after_position, limit)

    async def load_checkpoint(self, name: str) -> int:
        return await self.inner.load_checkpoint(name)

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        return await self.inner.dead_letters(processor)

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        return await self.inner.read_rows(read)

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self.inner.query(sql, parameters)

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        return await self.inner.event_types(counted=counted)

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    def describe(self) -> str:
        return f"watched {self.inner.describe()}"


class GatedStore(PassedThrough):
    """Appends and saves wait at a gate while it is shut; `batches` and `saves` are those that came to it.

    `last` is what came last, through either method.
    """

    def __init__(self, inner: EventStore | None = None) -> None:
        super().__init__(inner)
        self._open = asyncio.Event()
        self._open.set()
        self._came = asyncio.Condition()
        self.batches: list[AppendBatch] = []
        self.saves: list[Sequence[SaveCheckpoint]] = []
        self.last: AppendBatch | Sequence[SaveCheckpoint] = ()

    def shut(self) -> None:
        """Block every append and save from now on."""
        self._open.clear()

    def let_through(self) -> None:
        """Let everything through again."""
        self._open.set()

    async def commits(self, count: int) -> None:
        """Return when this many appends have reached the gate since the store was created."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.batches) >= count)

    async def saved(self, count: int) -> None:
        """Return when so many saves have come to the gate since the store was made."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.saves) >= count)

    async def append(self, batch: AppendBatch) -> Appended:
        await self._pass(self.batches, batch)
        return await self._write(batch)

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        await self._pass(self.saves, checkpoints)
        return await self._save(checkpoints)

    async def _pass(self, came: list[Any], what: Any) -> None:
        async with self._came:
            self.last = what
            came.append(what)
            self._came.notify_all()
        await self._open.wait()

    async def _write(self, batch: AppendBatch) -> Appended:
        return await self.inner.append(batch)

    async def _save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        return await self.inner.save(checkpoints)


class FaultyStore(GatedStore):
    """Appends and saves meet the faults that are planned, in order; reads fail while `reads_fail`."""

    def __init__(self, inner: EventStore | None = None) -> None:
        super().__init__(inner)
        self.faults: deque[Fault] = deque()
        self.next_fault: Callable[[], Fault] = lambda: self.faults.popleft() if self.faults else "none"
        self.reads_fail = False

    async def _write(self, batch: AppendBatch) -> Appended:
        return await self._with_fault(lambda: self.inner.append(batch))

    async def _save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        return await self._with_fault(lambda: self.inner.save(checkpoints))

    async def _with_fault(self, write: Callable[[], Awaitable[R]]) -> R:
        fault = self.next_fault()
        if fault == "slow":
            await asyncio.sleep(0.05)
        if fault == "before":
            raise StoreUnavailable("the disk is full")
        written = await write()
        if fault == "after":
            raise CommitUnknown("the disk answered with an error after it had written")
        return written

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        if self.reads_fail:
            raise StoreUnavailable("the disk does not answer")
        return await self.inner.read_streams(reads, max_bytes)

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        if self.reads_fail:
            raise StoreUnavailable("the disk does not answer")
        return await self.inner.find_commands(command_ids)


class PoisonedStore(PassedThrough):
    """Streams named in `poisoned` give the events they have with payloads that fit nothing."""

    def __init__(self, inner: EventStore | None = None) -> None:
        super().__init__(inner)
        self.poisoned: set[str] = set()

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        pages = await self.inner.read_streams(reads, max_bytes)
        return [
            msgspec.structs.replace(page, events=[_spoiled(record) for record in page.events])
            if read.stream.id in self.poisoned
            else page
            for read, page in zip(reads, pages, strict=True)
        ]


def _spoiled(record: EncodedRecord) -> EncodedRecord:
    return EncodedRecord(
        record.stream,
        record.version,
        record.position,
        record.recorded_us,
        record.type,
        record.schema_version,
        b'"spoiled"',
        record.metadata,
    )


async def append(
    store: EventStore, stream: tuple[str, str], expected_version: int, *events: Event, recorded_us: int = 0
) -> Appended:
    """Append events to a stream without the runtime, as a second writer would."""
    encoded = tuple(
        EncodedEvent(event_type_of(type(event)), event.schema_version, as_json(event), b"{}") for event in events
    )
    return await store.append(AppendBatch(recorded_us, [Append(StreamName(*stream), expected_version, encoded)]))


async def whole_log(store: EventStore) -> list[EncodedRecord]:
    """Return every event of the log."""
    records: list[EncodedRecord] = []
    while True:
        page = await store.read_log(len(records), 1_000)
        records += page
        if len(page) < 1_000:
            return records
