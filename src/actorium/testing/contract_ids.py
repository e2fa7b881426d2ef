"""The part of `EventStoreContract` about the longest ids and names, which must fit into every index of a store."""

from __future__ import annotations

from random import Random

from actorium.actors.commands import MAX_ID_LENGTH
from actorium.store.event_store import AppendBatch, DeadLetter, EventStore, SaveCheckpoint, Snapshot, StreamRead
from actorium.store.names import NAME_BYTES_MAX, StreamName, event_id
from actorium.store.tables.own_rows import AgendaRow, ReadDue, ReadSagas, ReadSubmissions, SagaChange, SubmissionRow
from actorium.testing.contract_words import append, expect, linked, opened, versions

_EVER = 2**63 - 1
_FOUR_BYTES = (0x10000, 0x10FFFF)  # the range of the characters that take four bytes


def _text(length: int, seed: int) -> str:
    """Return a text of four-byte characters that no compression makes shorter."""
    random = Random(seed)
    return "".join(chr(random.randint(*_FOUR_BYTES)) for _ in range(length))


_NAMES = [_text(NAME_BYTES_MAX // 4, seed) for seed in range(3)]
_STREAM = StreamName(_NAMES[0], _text(MAX_ID_LENGTH, 3))
_COMMAND = _text(MAX_ID_LENGTH, 4)


class LongIdsContract:
    """Ids of `MAX_ID_LENGTH` characters of four bytes, and names of `NAME_BYTES_MAX` bytes."""

    @opened
    async def test_the_longest_ids_name_streams_and_commands(self, store: EventStore) -> None:
        first = append(_STREAM, 0, command=_COMMAND)
        outcomes = (await store.append(AppendBatch(1, [first, append(_STREAM, 1)]))).outcomes
        expect(outcomes, [1, 2])
        expect(await versions(store, _STREAM), [1, 2])
        record = await store.find_command(_COMMAND)
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
