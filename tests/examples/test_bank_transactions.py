"""The reader of transactions files: exact for valid rows, precise about the others."""

from datetime import date
from pathlib import Path

import pytest

from actorium.examples.bank.transactions import (
    COLUMNS,
    LINE_BYTES_MAX,
    BadRow,
    NoTransactionsFile,
    Transaction,
    count_rows,
    hellers,
    koruna,
    read_transactions,
)

HEADER = ",".join(COLUMNS)
GOOD = "542216,1844,1993-01-07,credit,transfer_in,pension,3242.05,-3742.00,ST,42988401"


def written(path: Path, *lines: str | bytes, end: bytes = b"\n") -> Path:
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"".join(line + end for line in encoded))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "transactions.csv"


def test_a_row_is_read_exactly(file: Path) -> None:
    (row,) = read_transactions(written(file, HEADER, GOOD))
    assert row == Transaction(
        2, "542216", "1844", date(1993, 1, 7), True, "transfer_in", "pension", 324_205, -374_200, "ST", "42988401"
    )


def test_files_of_other_systems_are_read_the_same(file: Path) -> None:
    expected = list(read_transactions(written(file, HEADER, GOOD)))
    assert list(read_transactions(written(file, b"\xef\xbb\xbf" + HEADER.encode(), GOOD, end=b"\r\n"))) == expected
    assert list(read_transactions(written(file, HEADER, GOOD.replace("ST", '"ST"')))) == expected
    file.write_text(f"{HEADER}\n{GOOD}")
    assert list(read_transactions(file)) == expected


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "empty line"),
        ("1,2,3", "3 columns instead of 10"),
        (GOOD + ",more", "11 columns instead of 10"),
        (GOOD.replace("542216", "54a"), "transaction_id: '54a' is not a number"),
        (GOOD.replace("1844", ""), "account_id: '' is not a number"),
        (GOOD.replace("1993-01-07", "1993-02-30"), "date: '1993-02-30' is not a date like 1993-01-31"),
        (GOOD.replace("1993-01-07", "19930107"), "date: '19930107' is not a date like 1993-01-31"),
        (GOOD.replace("credit", "debit"), "direction: 'debit', but transfer_in is a credit"),
        (
            GOOD.replace("pension", "fun"),
            "purpose: 'fun' is neither empty nor one of household, insurance, interest, loan, ",
        ),
        (GOOD.replace("transfer_in", "gift"), "operation: 'gift' is not one of cash_deposit, "),
        (GOOD.replace("3242.05", "3242.5"), "amount: '3242.5' is not an amount with two decimals"),
        (GOOD.replace("3242.05", "0.00"), "amount: '0.00' is not more than 0"),
        (GOOD.replace("3242.05", "-1.00"), "amount: '-1.00' is not more than 0"),
        (GOOD.replace("3242.05", "1e3"), "amount: '1e3' is not an amount with two decimals"),
        (GOOD.replace("3242.05", "NaN"), "amount: 'NaN' is not an amount with two decimals"),
        (GOOD.replace("-3742.00", ""), "balance: '' is not an amount with two decimals"),
        (GOOD.replace("ST", '"ST'), "not CSV: unexpected end of data"),
        (GOOD.encode().replace(b"ST", b"\xff"), "not UTF-8 at byte 68"),
        ("9" * (LINE_BYTES_MAX * 3), f"longer than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_a_bad_row_is_reported_and_affects_no_other_row(file: Path, bad: str | bytes, reason: str) -> None:
    before, found, after = read_transactions(written(file, HEADER, GOOD, bad, GOOD))
    assert isinstance(found, BadRow)
    assert str(found).startswith(f"line 3: {reason}")
    assert isinstance(before, Transaction)
    assert isinstance(after, Transaction)
    assert (before.line, after.line) == (2, 4)


@pytest.mark.parametrize("first", ["", GOOD, HEADER + ",more", HEADER.replace("amount", "Amount")])
def test_a_file_with_another_header_is_rejected(file: Path, first: str) -> None:
    with pytest.raises(NoTransactionsFile, match=r"first line is .* expected 'transaction_id,"):
        list(read_transactions(written(file, first, GOOD)))


def test_an_empty_file_is_rejected(file: Path) -> None:
    with pytest.raises(NoTransactionsFile):
        list(read_transactions(written(file)))


def test_a_file_is_read_row_by_row(file: Path) -> None:
    rows = read_transactions(written(file, HEADER, GOOD, "bad"))
    assert isinstance(next(rows), Transaction)
    with file.open("a") as more:
        more.write(GOOD + "\n" * 9_000)
    assert count_rows(file) == 2 + 9_000
    assert [type(row) for row in rows][:2] == [BadRow, Transaction]


@pytest.mark.parametrize(
    ("text", "amount"), [("0.00", 0), ("12.50", 1250), ("-0.05", -5), ("999999999999.99", 99999999999999)]
)
def test_money_is_converted_to_whole_hellers_and_back(text: str, amount: int) -> None:
    assert hellers(text) == amount
    assert koruna(amount) == text
