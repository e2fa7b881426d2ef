"""The seeded set: reproducible, valid, in the format of the real one."""

from pathlib import Path

import pytest

from actorium.examples.bank.check import sums
from actorium.examples.bank.generate import generate
from actorium.examples.bank.transactions import Transaction, read_transactions


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Transaction]:
    """The set that the demo writes by default."""
    file = tmp_path_factory.mktemp("set") / "transactions.csv"
    generate(file)
    return [row for row in read_transactions(file) if isinstance(row, Transaction)]


def test_every_row_is_valid(rows: list[Transaction]) -> None:
    assert len(rows) == 10_000
    assert len({row.account for row in rows}) == 300
    assert len({row.id for row in rows}) == 10_000


def test_rows_are_in_date_order(rows: list[Transaction]) -> None:
    days = [row.booked_on for row in rows]
    assert days == sorted(days)


def test_an_account_begins_with_a_deposit(rows: list[Transaction]) -> None:
    first = {row.account: row.operation for row in reversed(rows)}
    assert set(first.values()) == {"cash_deposit"}


def test_some_accounts_are_overdrawn_and_every_operation_occurs(rows: list[Transaction]) -> None:
    assert any(row.printed_balance < 0 for row in rows)
    assert len({row.operation for row in rows}) == 6


def test_printed_balances_are_rounded_to_tenths(rows: list[Transaction]) -> None:
    assert {row.printed_balance % 10 for row in rows} == {0}
    balances: dict[str, int] = {}
    for row in rows:
        balances[row.account] = balances.get(row.account, 0) + (row.amount if row.is_credit else -row.amount)
        assert abs(balances[row.account] - row.printed_balance) <= 5
    assert any(balance % 10 for balance in balances.values())


def test_the_same_seed_writes_the_same_file_and_another_does_not(tmp_path: Path) -> None:
    first, again, other = tmp_path / "first", tmp_path / "again", tmp_path / "other"
    generate(first, rows=500, seed=7)
    generate(again, rows=500, seed=7)
    generate(other, rows=500, seed=8)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(("rows", "accounts"), [(1, None), (50, None), (200, 7)])
def test_a_set_has_the_requested_size(tmp_path: Path, rows: int, accounts: int | None) -> None:
    file = tmp_path / "transactions.csv"
    generate(file, rows=rows, accounts=accounts)
    totals = sums(file)
    assert sum(total.rows for total in totals.values()) == rows
    assert len(totals) == (accounts or 1)


def test_a_set_needs_a_row_and_an_account(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows=0"):
        generate(tmp_path / "none", rows=0)
