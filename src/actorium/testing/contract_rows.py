"""The part of `EventStoreContract` about tables of rows, which projections write by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.tables.row_tables import KEY_BYTES_MAX, Column, RowChanges, RowTable
from actorium.testing.contract_words import expect, opened

_INT_MAX = 2**63 - 1

_TABLE = RowTable(
    "Rows__v1__all",
    (Column("name", "text"), Column("place", "int"), Column("part", "bytes")),
    (
        Column("count", "int", is_number=True),
        Column("maybe", "int", is_optional=True, is_number=True),
        Column("code", "int"),
        Column("share", "float"),
        Column("text", "text"),
        Column("note", "text", is_optional=True),
        Column("data", "bytes", is_optional=True),
    ),
)
_KEYS = RowTable("Rows__v1__keys", (Column("name", "text"),), ())


def _row(name: str, count: int, maybe: int | None = None, note: str | None = None) -> tuple[Any, ...]:
    return (name, 1, b"\x00\xff", count, maybe, 7, 0.5, "ü", note, b"\x00" if note else None)


async def _write(store: EventStore, *rows: RowChanges) -> None:
    expect(await store.save([SaveCheckpoint("p", 1, rows=rows)]), {})


async def _created(store: EventStore) -> None:
    statements = [(store.dialect.create_table(table), ()) for table in (_TABLE, _KEYS)]
    expect(await store.save([SaveCheckpoint("p", 0, statements)]), {})


async def _rows(store: EventStore, table: RowTable = _TABLE) -> Sequence[tuple[Any, ...]]:
    quoted = store.dialect.quoted
    return await store.query(f"SELECT * FROM {quoted(table.name)} ORDER BY {quoted('name')}", ())


class RowsContract:
    """Tests of tables of rows."""

    @opened
    async def test_rows_are_put_added_to_and_deleted_by_key(self, store: EventStore) -> None:
        await _created(store)
        await _write(store, RowChanges(_TABLE, put=[_row("a", 1), _row("b", 2), _row("c", 3)]))
        await _write(
            store,
            RowChanges(
                _TABLE,
                put=[_row("a", 10, 5, "new")],
                add=[_row("b", 20, 5, "added"), _row("d", 4)],
                delete=[("c", 1, b"\x00\xff"), ("nobody", 1, b"")],
            ),
        )
        expect(await _rows(store), [_row("a", 10, 5, "new"), _row("b", 22, 5, "added"), _row("d", 4)])

    @opened
    async def test_an_added_none_changes_nothing_and_a_stored_none_counts_as_absent(self, store: EventStore) -> None:
        await _created(store)
        await _write(store, RowChanges(_TABLE, add=[_row("a", 1, 5, "note"), _row("b", 1)]))
        await _write(store, RowChanges(_TABLE, add=[_row("a", -3), _row("b", 0, 2, "b")]))
        expect(await _rows(store), [_row("a", -2, 5, "note"), _row("b", 1, 2, "b")])

    @opened
    async def test_a_table_with_a_key_only_is_a_set(self, store: EventStore) -> None:
        await _created(store)
        await _write(store, RowChanges(_KEYS, put=[("a",), ("b",)]))
        await _write(store, RowChanges(_KEYS, put=[("b",)], add=[("a",), ("c",)]))
        await _write(store, RowChanges(_KEYS, delete=[("a",)]))
        expect(await _rows(store, _KEYS), [("b",), ("c",)])

    @opened
    async def test_keys_and_numbers_may_be_as_large_as_their_limits(self, store: EventStore) -> None:
        await _created(store)
        key = "k" * KEY_BYTES_MAX
        await _write(store, RowChanges(_KEYS, put=[(key,)]))
        expect(await _rows(store, _KEYS), [(key,)])
        await _write(store, RowChanges(_TABLE, put=[_row("a", _INT_MAX - 1, -(2**63))]))
        await _write(store, RowChanges(_TABLE, add=[_row("a", 1)]))
        expect(await _rows(store), [_row("a", _INT_MAX, -(2**63))])

    @opened
    async def test_a_sum_beyond_64_bits_fails_only_its_checkpoint(self, store: EventStore) -> None:
        await _created(store)
        await _write(store, RowChanges(_TABLE, put=[_row("a", _INT_MAX)]))
        failing = SaveCheckpoint("p", 2, rows=[RowChanges(_KEYS, put=[("x",)]), RowChanges(_TABLE, add=[_row("a", 1)])])
        fine = SaveCheckpoint("q", 2, rows=[RowChanges(_KEYS, put=[("y",)])])
        expect(list(await store.save([failing, fine])), [0])
        expect(await _rows(store), [_row("a", _INT_MAX)])
        expect(await _rows(store, _KEYS), [("y",)])
        expect([await store.load_checkpoint(name) for name in ("p", "q")], [1, 2])

    @opened
    async def test_rows_are_changed_after_the_statements_of_their_checkpoint(self, store: EventStore) -> None:
        create = (store.dialect.create_table(_KEYS), ())
        expect(await store.save([SaveCheckpoint("p", 1, [create], rows=[RowChanges(_KEYS, put=[("a",)])])]), {})
        expect(await _rows(store, _KEYS), [("a",)])
