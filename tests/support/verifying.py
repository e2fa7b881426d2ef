"""Logs with a stored chain and signed heads, and changes of what the log holds, for tests of `verify`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from support.backups import reader
from support.stores import PassedThrough, whole_log
from support.tables import run_on

from actorium.store.chain import CHAIN, HashChain, kept_link
from actorium.store.event_store import PAGE_BYTES, EventStore, Examinable, SaveCheckpoint, SaveFailure
from actorium.store.events import EncodedRecord, checksum, kind_checksum
from actorium.store.postgresql.plan import folded
from actorium.store.urls import open_store
from actorium.verification import LogHead, Verification, head_of, verify


class ChainedStore(PassedThrough):
    """A store that says when a link of the chain is stored, and how many events were read."""

    def __init__(self, inner: EventStore) -> None:
        super().__init__(inner)
        self.read_events = 0
        self._moved = asyncio.Condition()
        self._position = 0

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        failed = await super().save(checkpoints)
        async with self._moved:
            self._position = max([self._position, *(one.position for one in checkpoints if one.name == CHAIN)])
            self._moved.notify_all()
        return failed

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        records = await super().read_log(after_position, limit, max_bytes)
        self.read_events += len(records)
        return records

    async def chained(self, position: int) -> None:
        """Wait until the chain is stored up to a position."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= position)


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Examinable]:
    """Open a log as `actorium verify` does."""
    store = reader(url)
    await store.open(verified=False, read_only=True)
    try:
        yield store
    finally:
        await store.close()


async def store_chain(url: str) -> None:
    """Store the chain of a log as a runtime with `hash_chain` would have."""
    store = open_store(url)
    await store.open()
    try:
        links = HashChain().add(await whole_log(store))
        changes = [kept_link(link) for link in links]
        await store.save([SaveCheckpoint(CHAIN, links[-1].position if links else 0, changes=changes)])
    finally:
        await store.close()


async def head(url: str, after: LogHead | None = None) -> LogHead:
    """Return the head of a log."""
    async with reading(url) as store:
        return await head_of(store, after=after)


async def verified(url: str, *heads: LogHead) -> Verification:
    """Verify a log."""
    async with reading(url) as store:
        return await verify(store, heads)


async def forge(url: str, position: int) -> None:
    """Change the payload of an event, and correct its checksum."""
    async with reading(url) as store:
        (record,) = await store.read_log(position - 1, 1)
    kind = kind_checksum(record.stream, record.type, record.schema_version)
    forged = (kind, record.version, b'{"n":666}', record.metadata)
    correct = _checksum(*forged, record.recorded_us, is_file=url.startswith("sqlite"))
    await run_on(
        url, f"""UPDATE events SET payload = '{{"n":666}}', checksum = {correct} WHERE position = {position}"""
    )


def _checksum(kind: int, version: int, payload: bytes, metadata: bytes, recorded_us: int, *, is_file: bool) -> int:
    if is_file:
        return checksum(kind, version, recorded_us, payload, metadata)
    return checksum(kind, version, 0, payload, metadata) ^ folded(recorded_us)  # a server mixes the time in itself
