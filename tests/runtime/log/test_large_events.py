"""A reader of the log holds a bounded number of bytes at a time, however many events that is."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.runs_on import ON_SQLITE
from support.stores import PassedThrough

from actorium import Aggregate, Command, Event, Projection, Runtime, decide, evolve, on, query
from actorium.store.event_store import PAGE_BYTES, EventStore, StreamPage, StreamRead
from actorium.store.events import EncodedRecord
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

_EVENTS = 40
_SIZE = 500_000


class Write(Command):
    note: str


class Written(Event):
    note: str


class Book(Aggregate):
    length: int = 0

    @decide
    def write(self, command: Write) -> Written:
        return Written(command.note)

    @evolve
    def written(self, event: Written) -> None:
        self.length += len(event.note)


class Lengths(Projection):
    length: int = 0

    @on
    def written(self, event: Written) -> None:
        self.length += len(event.note)

    @query
    def total(self) -> int:
        return self.length


class Weighed(PassedThrough):
    """Notes how many bytes of payload each read gives out."""

    def __init__(self, inner: EventStore) -> None:
        super().__init__(inner)
        self.sizes: list[int] = []

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        pages = await super().read_streams(reads, max_bytes)
        self.sizes.append(sum(len(record.payload) for page in pages for record in page.events))
        return pages

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        records = await super().read_log(after_position, limit, max_bytes)
        self.sizes.append(sum(len(record.payload) for record in records))
        return records


@pytest.mark.parametrize("kind", ["memory", ON_SQLITE])
@pytest.mark.asyncio
async def test_no_page_of_large_events_is_larger_than_a_page(kind: str, tmp_path: Path) -> None:
    store = Weighed(MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "log.db"))
    total = _EVENTS * _SIZE
    async with Runtime([Book], store=store) as runtime:
        for n in range(_EVENTS):
            await runtime.send(Write(f"b{n % 2}", "x" * _SIZE))
    async with Runtime([Book, Lengths], store=store) as runtime:
        subscription = runtime.events()
        for position in range(1, _EVENTS + 1):
            assert (await anext(subscription)).position == position
        assert (await runtime.get(Book, "b0")).length == total // 2
        assert (await runtime.get(Book, "b1", at_position=_EVENTS)).length == total // 2
        assert [change.version async for change in runtime.history(Book, "b0")] == list(range(1, _EVENTS // 2 + 1))
        assert await runtime.query(Lengths.total, after=_EVENTS) == total
        stream = runtime.events(aggregate=Book, id="b1")
        assert [(await anext(stream)).version for _ in range(_EVENTS // 2)] == list(range(1, _EVENTS // 2 + 1))
    assert sum(store.sizes) >= 6 * total // 2
    assert max(store.sizes) <= PAGE_BYTES
