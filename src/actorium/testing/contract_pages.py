"""`PagesContract`: the part of `EventStoreContract` about pages that are bounded in bytes."""

from __future__ import annotations

from collections.abc import Sequence

from actorium.store.event_store import Append, EventStore, StreamRead
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import StreamName
from actorium.testing.contract_words import ALICE, commit, expect, opened


class PagesContract:
    """Tests that reads return no more bytes than requested, and skip nothing."""

    @opened
    async def test_log_pages_are_bounded_in_bytes(self, store: EventStore) -> None:
        sizes = [20, 4_000, 9_000, 3_000, 5_000, 30_000, 20, 20, 12_000]
        for version, size in enumerate(sizes):
            await commit(store, of_size(ALICE, version, size))
        found: list[int] = []
        while page := await store.read_log(len(found), 100, 10_000):
            expect(fits(page, 10_000), True)
            found += [record.position for record in page]
        expect(found, list(range(1, len(sizes) + 1)))
        expect(len(await store.read_log(0, 100)), len(sizes))

    @opened
    async def test_stream_pages_are_bounded_in_bytes(self, store: EventStore) -> None:
        streams = [StreamName("Account", str(number)) for number in range(5)]
        for version in range(6):
            await commit(store, *(of_size(one, version, 3_000 if version else 20) for one in streams))
        left = {one: 0 for one in streams}
        while left:
            pages = await store.read_streams([StreamRead(one, version, 4) for one, version in left.items()], 10_000)
            events = [record for page in pages for record in page.events]
            expect(bool(events) or all(page.is_last for page in pages), True)
            expect(fits(events, 10_000), True)
            for stream, page in zip(list(left), pages, strict=True):
                expect([one.version for one in page.events], [left[stream] + 1 + n for n in range(len(page.events))])
                left[stream] += len(page.events)
                if page.is_last:
                    expect(left.pop(stream), 6)


def of_size(stream: StreamName, expected_version: int, size_bytes: int) -> Append:
    """Return an append of one event with a payload of this size."""
    payload = b'{"note":"%s"}' % (b"x" * (size_bytes - len(b'{"note":""}')))
    return Append(stream, expected_version, (EncodedEvent("Noted", 1, payload, b"{}"),))


def fits(records: Sequence[EncodedRecord], max_bytes: int) -> bool:
    """Return whether the records fit into a page of this size."""
    return len(records) == 1 or sum(len(record.payload) for record in records) <= max_bytes
