"""The part of `EventStoreContract` about searches: for sagas, submissions, streams and events."""

from __future__ import annotations

from actorium.store.event_store import AppendBatch, EventStore, SaveCheckpoint
from actorium.store.names import StreamName
from actorium.store.tables.log_search import FindEvents, FindStreams, FindStreamTypes
from actorium.store.tables.own_rows import (
    CountSagas,
    ReadSagas,
    ReadSubmissions,
    SagaChange,
    SubmissionRow,
    TableChange,
)
from actorium.testing.contract_words import append, expect, opened


async def _save(store: EventStore, *changes: TableChange) -> None:
    expect(await store.save([SaveCheckpoint("p", 1, changes=changes)]), {})


async def _sagas(store: EventStore, read: ReadSagas) -> list[str]:
    return [f"{row.type} {row.id}" for row in await store.read_rows(read)]


class SearchContract:
    """Tests of a store's searches."""

    @opened
    async def test_sagas_are_found_by_step_start_of_id_and_age(self, store: EventStore) -> None:
        sagas = [("A", "or-1", "debit", 5), ("A", "or-2", "credit", 6), ("A", "os-1", "debit", 7), ("B", "or", "", 8)]
        await _save(store, *[SagaChange(type, id, "failed", step, "", 1, us) for type, id, step, us in sagas])
        expect(await _sagas(store, ReadSagas(10, step="debit")), ["A or-1", "A os-1"])
        expect(await _sagas(store, ReadSagas(10, id_prefix="or")), ["A or-1", "A or-2", "B or"])
        expect(await _sagas(store, ReadSagas(1, id_prefix="or", after=("A", "or-1"))), ["A or-2"])
        expect(await _sagas(store, ReadSagas(10, updated_before_us=7)), ["A or-1", "A or-2"])
        expect(await _sagas(store, ReadSagas(10, "A", "failed", None, "debit", "or", 6)), ["A or-1"])

    @opened
    async def test_sagas_are_counted_by_status_up_to_a_maximum(self, store: EventStore) -> None:
        running = [SagaChange("A", str(n), "running", "", "", 1, 1) for n in range(5)]
        await _save(store, *running, SagaChange("A", "x", "completed", "", "", 1, 1))
        counts = {row.status: row.count for row in await store.read_rows(CountSagas(3))}
        expect(counts, {"running": 3, "undoing": 0, "failed": 0, "undone": 0, "completed": 1})

    @opened
    async def test_submissions_are_found_by_the_type_of_their_command(self, store: EventStore) -> None:
        rows = [SubmissionRow(id, type, "waiting", "", 5, 1, 0) for id, type in (("a", "Pay"), ("b", "Ship"))]
        await _save(store, *rows)
        expect(await store.read_rows(ReadSubmissions(10, type="Ship")), rows[1:])

    @opened
    async def test_streams_are_found_by_type_and_start_of_id(self, store: EventStore) -> None:
        names = [StreamName("a", "x"), *(StreamName("b", id) for id in ("al", "alice", "bob", "\u00e9", "%a", "_"))]
        for name in names:
            await store.append(AppendBatch(1, [append(name, 0, 3)]))
        expect(await store.read_rows(FindStreamTypes(10)), ["a", "b"])
        expect(await store.read_rows(FindStreamTypes(1)), ["a"])

        async def found(limit: int = 10, id_prefix: str = "", after: str = "") -> list[str]:
            return [name.id for name in await store.read_rows(FindStreams("b", limit, id_prefix, after))]

        expect(await found(), ["%a", "_", "al", "alice", "bob", "\u00e9"])
        expect(await found(2), ["%a", "_"])
        expect(await found(2, after="_"), ["al", "alice"])
        expect(await found(id_prefix="al"), ["al", "alice"])
        expect(await found(id_prefix="al", after="al"), ["alice"])
        expect(await found(id_prefix="%"), ["%a"])
        expect(await store.read_rows(FindStreams("c", 10)), [])

    @opened
    async def test_events_are_found_by_type_between_two_positions(self, store: EventStore) -> None:
        await store.append(AppendBatch(1, [append(StreamName("a", "x"), 0, 4)]))
        (event_type,) = {record.type for record in await store.read_log(0, 10)}
        expect(await store.read_rows(FindEvents((event_type,), 0, 9, 10)), [4, 3, 2, 1])
        expect(await store.read_rows(FindEvents((event_type, "other"), 1, 4, 10)), [3, 2])
        expect(await store.read_rows(FindEvents((event_type,), 0, 9, 1)), [4])
        expect(await store.read_rows(FindEvents(("other",), 0, 9, 10)), [])
