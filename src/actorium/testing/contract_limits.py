"""`LimitsContract`: the part of `EventStoreContract` about pages bounded in bytes, and about the longest ids and names.

The longest ids and names must fit into every index of a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from actorium.actors.commands import MAX_ID_LENGTH
from actorium.store.event_store import (
    Append,
    AppendBatch,
    DeadLetter,
    EventStore,
    SaveCheckpoint,
    Snapshot,
    StreamRead,
)
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import NAME_BYTES_MAX, StreamName, event_id
from actorium.store.tables.own_rows import AgendaRow, ReadDue, ReadSagas, ReadSubmissions, SagaChange, SubmissionRow
from actorium.testing.contract_words import ALICE, append, commit, expect, linked, opened, versions

_EVER = 2**63 - 1
_FOUR_BYTES = (0x10000, 0x10FFFF)  # the range of the characters that take four bytes


def _text(length: int, seed: int) -> str:
    """Return a text of four-byte characters that no compression makes shorter."""
    random = Random(seed)
    return "".join(chr(random.randint(*_FOUR_BYTES)) for _ in range(length))


_NAMES = [_text(NAME_BYTES_MAX // 4, seed) for seed in range(3)]
_STREAM = StreamName(_NAMES[0], _text(MAX_ID_LENGTH, 3))
_COMMAND = _text(MAX_ID_LENGTH, 4)


class LimitsContract:
    """Tests that reads return no more bytes than requested, and that the longest ids and names work."""

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

    @opened
    async def test_the_longest_ids_name_streams_and_commands(self, store: EventStore) -> None:
        first = append(_STREAM, 0, command=_COMMAND)
        outcomes = (await store.append(AppendBatch(1, [first, append(_STREAM, 1)]))).outcomes
        expect(outcomes, [1, 2])
        expect(await versions(store, _STREAM), [1, 2])
        record = (await store.find_commands([_COMMAND])).get(_COMMAND)
        expect(record is not None and record.stream, _STREAM)

    @opened
    async def test_the_longest_ids_link_events(self, store: EventStore) -> None:
        cause = event_id(_STREAM, 2**31 - 1)
        flow = _text(3 * MAX_ID_LENGTH, 5)
        await store.append(AppendBatch(1, [linked(_STREAM, 0, causation_id=cause, correlation_id=flow)]))
        for link, id in (("causation_id", cause), ("correlation_id", flow)):
            expect([one.position for one in await store.read_linked(link, id, 0, 9)], [1])  # type: ignore[arg-type]
            expect(await store.read_linked(link, id[:-1], 0, 9), [])  # type: ignore[arg-type]

    @opened
    async def test_the_longest_ids_have_snapshots(self, store: EventStore) -> None:
        snapshot = Snapshot(_STREAM, 1, "f", b"{}")
        await store.append(AppendBatch(1, [append(_STREAM, 0)], [snapshot]))
        (page,) = await store.read_streams([StreamRead(_STREAM, snapshot_fingerprint="f")])
        expect(page.snapshot, snapshot)

    @opened
    async def test_the_longest_ids_have_rows_in_every_table(self, store: EventStore) -> None:
        type_, step, processor = _NAMES
        agenda = AgendaRow(type_, _STREAM.id, f"{step} 9999", "deadline", _EVER - 1)
        saga = SagaChange(type_, _STREAM.id, "compensating", step, "", 1, 1)
        submission = SubmissionRow(_COMMAND, type_, "waiting", "", 1, 1, 0)
        letter = DeadLetter(processor, _STREAM, 1, 1, type_, "", "", 1, 1)
        saved = SaveCheckpoint(f"projection {processor}", 7, parked=[letter], changes=[agenda, saga, submission])
        expect(await store.save([saved]), {})
        expect(await store.load_checkpoint(f"projection {processor}"), 7)
        expect(await store.dead_letters(processor), [letter])
        expect(await store.read_rows(ReadDue(_EVER, 9)), [agenda])
        expect([row.id for row in await store.read_rows(ReadSagas(9, type_, "compensating"))], [_STREAM.id])
        expect([row.id for row in await store.read_rows(ReadSubmissions(9, "waiting"))], [_COMMAND])


def of_size(stream: StreamName, expected_version: int, size_bytes: int) -> Append:
    """Return an append of one event with a payload of this size."""
    payload = b'{"note":"%s"}' % (b"x" * (size_bytes - len(b'{"note":""}')))
    return Append(stream, expected_version, (EncodedEvent("Noted", 1, payload, b"{}"),))


def fits(records: Sequence[EncodedRecord], max_bytes: int) -> bool:
    """Return whether the records fit into a page of this size."""
    return len(records) == 1 or sum(len(record.payload) for record in records) <= max_bytes
