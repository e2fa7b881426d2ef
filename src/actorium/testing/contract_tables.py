"""The part of `EventStoreContract` about tables: checkpoints, dead letters, the runtime's own, the projections'."""

from __future__ import annotations

import asyncio

import msgspec

from actorium.store.errors import StatementFailed
from actorium.store.event_store import AppendBatch, EventStore, SaveCheckpoint
from actorium.store.tables.dialect import TableObject
from actorium.store.tables.own_rows import (
    AgendaRemoval,
    AgendaRow,
    KeptState,
    KeptStateRemoval,
    LiveSteps,
    ReadDue,
    ReadKeptState,
    ReadLiveSteps,
    ReadSagas,
    ReadSubmissions,
    RemoveAll,
    RemoveShare,
    SagaChange,
    SagaRow,
    SubmissionDue,
    SubmissionEnd,
    SubmissionRow,
    TableChange,
)
from actorium.store.tables.shares import SHARES, share_of
from actorium.testing.contract_words import (
    ALICE,
    append,
    dead_letter,
    expect,
    expect_wrong_version,
    opened,
    raises,
    versions,
)

_EVER = 2**63 - 1


async def _save(store: EventStore, *changes: TableChange) -> None:
    expect(await store.save([SaveCheckpoint("p", 1, changes=changes)]), {})


async def _run(store: EventStore, *statements: str) -> None:
    saved = SaveCheckpoint("p", 1, [(statement, ()) for statement in statements])
    expect(await store.save([saved]), {})


async def _objects(store: EventStore, prefix: str) -> list[TableObject]:
    return [TableObject(*row) for row in await store.query(*store.dialect.list_objects(prefix))]


def _agenda_row(id: str, due_us: int, what: str = "run") -> AgendaRow:
    return AgendaRow("Transfer", id, "debit", what, due_us)


def _saga(type: str, id: str, status: str | None = None, step: str | None = None, at_us: int = 1) -> SagaChange:
    return SagaChange(type, id, status, step, None, at_us if status == "running" else None, at_us)


class TablesContract:
    """Tests of a store's tables beside its log."""

    # Checkpoints and the changes that belong to them

    @opened
    async def test_checkpoints_are_kept_by_name(self, store: EventStore) -> None:
        await store.save([SaveCheckpoint("p", 3), SaveCheckpoint("q", 9)])
        await store.save([SaveCheckpoint("p", 4), SaveCheckpoint("q", 5), SaveCheckpoint("q", 2)])
        expect([await store.load_checkpoint(name) for name in ("p", "q", "r")], [4, 2, 0])

    @opened
    async def test_a_save_and_an_append_may_run_beside_each_other(self, store: EventStore) -> None:
        saves = [[SaveCheckpoint("p", number), SaveCheckpoint("q", 2 * number)] for number in range(1, 11)]

        async def save_all() -> None:
            for checkpoints in saves:
                expect(await store.save(checkpoints), {})

        async def append_all() -> None:
            for version in range(10):
                expect((await store.append(AppendBatch(1, [append(ALICE, version)]))).outcomes, [version + 1])

        await asyncio.gather(save_all(), append_all())
        expect([await store.load_checkpoint(name) for name in ("p", "q")], [10, 20])
        expect(await versions(store, ALICE), list(range(1, 11)))
        rejected, failed = await asyncio.gather(
            store.append(AppendBatch(1, [append(ALICE, 3)])),
            store.save([SaveCheckpoint("p", 11, [("INSERT INTO nowhere VALUES (1)", ())]), SaveCheckpoint("q", 21)]),
        )
        expect_wrong_version(rejected.outcomes[0], ALICE, expected=3, actual=10)
        expect(list(failed), [0])
        expect([await store.load_checkpoint(name) for name in ("p", "q")], [10, 21])

    @opened
    async def test_a_failed_statement_rolls_back_only_its_checkpoint(self, store: EventStore) -> None:
        create = ("CREATE TABLE seen (id TEXT PRIMARY KEY)", ())
        insert = store.dialect.translated("INSERT INTO seen VALUES (?)")
        one = (insert, ("one",))
        expect(await store.save([SaveCheckpoint("p", 1, [create, one])]), {})
        two = (insert, ("two",))
        failing, fine = SaveCheckpoint("p", 2, [two, one]), SaveCheckpoint("q", 2, [two])
        failed = await store.save([failing, fine])
        expect(list(failed), [0])
        assert isinstance(failed[0], StatementFailed)
        expect([await store.load_checkpoint(name) for name in ("p", "q")], [1, 2])
        expect(await store.query("SELECT id FROM seen ORDER BY id", ()), [("one",), ("two",)])
        with raises(StatementFailed):
            await store.query("SELECT nothing FROM nowhere", ())

    @opened
    async def test_dead_letters_are_parked_changed_and_settled_with_their_checkpoint(self, store: EventStore) -> None:
        first, second = dead_letter(3), dead_letter(8)
        await store.save([SaveCheckpoint("p", 9, parked=[second, first])])
        expect(await store.dead_letters("p"), [first, second])
        expect(await store.dead_letters("q"), [])
        other = msgspec.structs.replace(dead_letter(5), processor="q")
        await store.save([SaveCheckpoint("q", 9, parked=[other])])
        expect(await store.dead_letters(None), [first, other, second])
        discarded = dead_letter(8, discarded="known to be wrong")
        await store.save([SaveCheckpoint("p", 9, parked=[discarded], settled=[3])])
        expect(await store.dead_letters("p"), [discarded])

    @opened
    async def test_changes_of_own_tables_are_atomic_with_their_checkpoint(self, store: EventStore) -> None:
        row, other = _agenda_row("a", 5), _agenda_row("b", 6)
        await _save(store, row)
        failing = SaveCheckpoint("p", 2, [("INSERT INTO nowhere VALUES (1)", ())], changes=[RemoveAll("agenda")])
        fine = SaveCheckpoint("q", 2, changes=[other])
        expect(list(await store.save([failing, fine])), [0])
        expect(await store.read_rows(ReadDue(_EVER, 10)), [row, other])
        expect([await store.load_checkpoint(name) for name in ("p", "q")], [1, 2])

    @opened
    async def test_a_failed_change_rolls_back_only_its_checkpoint(self, store: EventStore) -> None:
        unwritable = SaveCheckpoint("p", 2, changes=[_agenda_row("a", 5), _agenda_row("\ud800", 5)])
        fine = SaveCheckpoint("q", 2, changes=[_agenda_row("b", 6)])
        expect(list(await store.save([unwritable, fine])), [0])
        expect(await store.read_rows(ReadDue(_EVER, 10)), [_agenda_row("b", 6)])
        expect([await store.load_checkpoint(name) for name in ("p", "q")], [0, 2])

    @opened
    async def test_changes_are_applied_in_order(self, store: EventStore) -> None:
        row = _agenda_row("a", 5)
        await _save(store, row, RemoveAll("agenda"), _agenda_row("a", 7), _agenda_row("b", 1), _agenda_row("a", 9))
        expect(await store.read_rows(ReadDue(_EVER, 10)), [_agenda_row("b", 1), _agenda_row("a", 9)])

    # The agenda

    @opened
    async def test_the_agenda_is_read_by_time_and_key_in_pages(self, store: EventStore) -> None:
        expect(await store.read_rows(ReadDue(_EVER, 10)), [])
        rows = [_agenda_row("b", 5), _agenda_row("b", 5, "deadline"), _agenda_row("c", 0), _agenda_row("a", 9)]
        in_order = [rows[2], rows[1], rows[0], rows[3]]
        await _save(store, *rows)
        expect(await store.read_rows(ReadDue(_EVER, 10)), in_order)
        expect(await store.read_rows(ReadDue(9, 10)), in_order)
        expect(await store.read_rows(ReadDue(8, 10)), in_order[:3])
        expect(await store.read_rows(ReadDue(_EVER, 2)), in_order[:2])
        expect(await store.read_rows(ReadDue(_EVER, 2, after=in_order[1])), in_order[2:])
        expect(await store.read_rows(ReadDue(5, 2, after=in_order[1])), in_order[2:3])

    @opened
    async def test_an_agenda_row_is_replaced_and_removed_by_its_key(self, store: EventStore) -> None:
        await _save(store, _agenda_row("a", 5), _agenda_row("a", 6, "deadline"), _agenda_row("b", 7))
        await _save(store, _agenda_row("a", 8), AgendaRemoval("Transfer", "b", "debit", "run"))
        await _save(store, AgendaRemoval("Transfer", "b", "debit", "run"))
        expect(await store.read_rows(ReadDue(_EVER, 10)), [_agenda_row("a", 6, "deadline"), _agenda_row("a", 8)])
        await _save(store, RemoveAll("agenda"))
        expect(await store.read_rows(ReadDue(_EVER, 10)), [])

    @opened
    async def test_a_share_of_the_agenda_is_read_and_removed_alone(self, store: EventStore) -> None:
        rows = [_agenda_row(f"transfer-{n}", n % 3) for n in range(40)]
        in_order = sorted(rows, key=lambda row: (row.due_us, row.id))
        await _save(store, *rows)
        shares = {share: [row for row in in_order if share_of(row.owner, row.id) == share] for share in range(SHARES)}
        for share, wanted in shares.items():
            expect(await store.read_rows(ReadDue(_EVER, 50, share=share)), wanted)
        several = max(shares, key=lambda share: len(shares[share]))
        first, second, *others = shares[several]
        expect(await store.read_rows(ReadDue(_EVER, 1, after=first, share=several)), [second])
        await _save(store, _agenda_row(first.id, 9), RemoveShare(several), second)
        expect(await store.read_rows(ReadDue(_EVER, 50, share=several)), [second])
        left = [row for row in in_order if row not in (first, *others)]
        expect(await store.read_rows(ReadDue(_EVER, 50)), left)

    # Sagas

    @opened
    async def test_a_saga_change_leaves_other_columns_unchanged(self, store: EventStore) -> None:
        await _save(store, SagaChange("Transfer", "a", "running", "debit", None, 3, 4))
        expect(await store.read_rows(ReadSagas(10)), [SagaRow("Transfer", "a", "running", "debit", "", 3, 4)])
        await _save(store, SagaChange("Transfer", "a", None, "credit", "no", None, 5))
        await _save(store, SagaChange("Transfer", "b", None, None, None, None, 6))
        whole, bare = (
            SagaRow("Transfer", "a", "running", "credit", "no", 3, 5),
            SagaRow("Transfer", "b", "", "", "", 0, 6),
        )
        expect(await store.read_rows(ReadSagas(10)), [whole, bare])
        await _save(store, SagaChange("Transfer", "a", "completed", "", "", 4, 7), RemoveAll("agenda"))
        expect(await store.read_rows(ReadSagas(1)), [SagaRow("Transfer", "a", "completed", "", "", 4, 7)])
        await _save(store, RemoveAll("sagas"))
        expect(await store.read_rows(ReadSagas(10)), [])

    @opened
    async def test_sagas_are_read_in_pages_by_type_status_and_id(self, store: EventStore) -> None:
        states = [("A", "1", "running"), ("A", "2", "completed"), ("B", "1", "completed"), ("B", "2", "running")]
        await _save(store, *[_saga(*state) for state in reversed(states)])

        async def found(limit: int = 10, **wanted: str) -> list[tuple[str, str, str]]:
            read = ReadSagas(limit, wanted.get("type"), wanted.get("status"))
            pages = []
            while rows := await store.read_rows(read):
                assert len(rows) <= limit, "more than requested"
                pages += [(row.type, row.id, row.status) for row in rows]
                read = ReadSagas(limit, read.type, read.status, after=(rows[-1].type, rows[-1].id))
            return pages

        for limit in (1, 3, 10):
            expect(await found(limit), states)
            expect(await found(limit, type="B"), states[2:])
            expect(await found(limit, status="completed"), states[1:3])
            expect(await found(limit, status="running"), [states[0], states[3]])
            expect(await found(limit, type="A", status="running"), states[:1])
            expect(await found(limit, type="C"), [])

    @opened
    async def test_steps_of_live_sagas_are_listed_with_some_ids(self, store: EventStore) -> None:
        expect(await store.read_rows(ReadLiveSteps(2)), [])
        await _save(
            store,
            *[_saga("B", str(n), "running", "debit") for n in range(5)],
            _saga("B", "x", "undoing", "debit~undo"),
            _saga("B", "y", "failed", None),
            _saga("B", "z", "undone", "credit"),
            _saga("A", "1", "completed", "debit"),
        )
        over, live = await store.read_rows(ReadLiveSteps(2))
        expect(over, LiveSteps("A", {}))
        expect((live.type, sorted(live.ids)), ("B", ["", "debit", "debit~undo"]))
        expect((live.ids[""], live.ids["debit~undo"]), (["y"], ["x"]))
        expect((len(live.ids["debit"]), set(live.ids["debit"]) <= set("01234")), (2, True))

    # Submissions

    @opened
    async def test_submissions_are_read_in_pages_by_status_and_id(self, store: EventStore) -> None:
        expect(await store.read_rows(ReadSubmissions(10)), [])
        rows = [SubmissionRow(id, "Pay", "waiting", "", 5, 1, 0) for id in ("c", "a", "b")]
        await _save(store, *rows, SubmissionEnd("b", "done", "", 7), SubmissionEnd("nobody", "done", "", 7))
        await _save(store, SubmissionEnd("c", "failed", "no", 8))
        a, b = SubmissionRow("a", "Pay", "waiting", "", 5, 1, 0), SubmissionRow("b", "Pay", "done", "", 5, 1, 7)
        c = SubmissionRow("c", "Pay", "failed", "no", 5, 1, 8)
        expect(await store.read_rows(ReadSubmissions(10)), [a, b, c])
        expect(await store.read_rows(ReadSubmissions(2)), [a, b])
        expect(await store.read_rows(ReadSubmissions(2, after="b")), [c])
        for row in (a, b, c):
            expect(await store.read_rows(ReadSubmissions(10, row.status)), [row])
        expect(await store.read_rows(ReadSubmissions(10, "waiting", after="a")), [])
        await _save(store, SubmissionDue("a", 3), SubmissionDue("nobody", 3))
        expect(await store.read_rows(ReadSubmissions(1)), [SubmissionRow("a", "Pay", "waiting", "", 3, 1, 0)])
        await _save(store, rows[1], SubmissionDue("a", 4), SubmissionEnd("a", "done", "", 9))
        expect(await store.read_rows(ReadSubmissions(1)), [SubmissionRow("a", "Pay", "done", "", 4, 1, 9)])
        await _save(store, RemoveAll("submissions"), rows[1])
        expect(await store.read_rows(ReadSubmissions(10)), [a])

    # Saved states of projections

    @opened
    async def test_a_state_is_saved_by_name_and_found_only_by_its_version(self, store: EventStore) -> None:
        expect(await store.read_rows(ReadKeptState("Sums", 1)), [])
        first, other = KeptState("Sums", 1, 7, '{"who":"Žofie 🦉"}'.encode()), KeptState("Names", 1, 2, b"{}")
        await _save(store, first, other)
        expect(await store.read_rows(ReadKeptState("Sums", 1)), [first])
        expect(await store.read_rows(ReadKeptState("Sums", 2)), [])
        second = KeptState("Sums", 2, 9, b'{"sum":9}')
        await _save(store, second)
        expect(await store.read_rows(ReadKeptState("Sums", 1)), [])
        expect(await store.read_rows(ReadKeptState("Sums", 2)), [second])
        await _save(store, KeptStateRemoval("Sums"), KeptStateRemoval("nobody"))
        expect(await store.read_rows(ReadKeptState("Sums", 2)), [])
        expect(await store.read_rows(ReadKeptState("Names", 1)), [other])

    # The dialect of projections

    @opened
    async def test_tables_and_views_are_listed_shown_and_dropped_in_the_dialect(self, store: EventStore) -> None:
        dialect, quoted = store.dialect, store.dialect.quoted
        table, odd, view, other = "P__v1__t", 'P__v1__an "odd" name', "P__v1__shown", "Px_v1__t"
        await _run(store, *[f"CREATE TABLE {quoted(name)} (x TEXT)" for name in (table, odd, other)])
        await _run(store, dialect.create_view(view, table))
        found = await _objects(store, "P__v1__")
        expect([(thing.kind, thing.name) for thing in found], [("VIEW", view), ("TABLE", odd), ("TABLE", table)])
        assert quoted(table) in found[0].definition, "the definition of a view names what it shows, quoted"
        insert = (dialect.translated(f"INSERT INTO {quoted(table)} VALUES (?)"), ("here",))
        await store.save([SaveCheckpoint("p", 1, [insert])])
        where = dialect.translated(f"SELECT x FROM {quoted(view)} WHERE x = ?")
        expect(await store.query(where, ("here",)), [("here",)])
        await _run(store, *[dialect.drop(thing) for thing in (*found, *found)])
        expect(await _objects(store, "P__v1__"), [])
        expect([thing.name for thing in await _objects(store, "Px")], [other])

    @opened
    async def test_the_dialect_finds_the_end_of_a_statement(self, store: EventStore) -> None:
        is_complete = store.dialect.is_complete
        expect([is_complete(sql) for sql in ("SELECT 1;", "SELECT ';", "SELECT ';';")], [True, False, True])
