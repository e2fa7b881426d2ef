"""`Transaction`: one row of a transactions file, and the strict reader of such files.

A file is read line by line, one row per line, so a bad line affects no other line. A line that cannot be read is
returned as a `BadRow`, with its line number and the reason.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO

import msgspec

COLUMNS = (
    "transaction_id",
    "account_id",
    "date",
    "direction",
    "operation",
    "purpose",
    "amount",
    "balance",
    "counterparty_bank",
    "counterparty_account",
)
OPERATIONS = {
    "cash_deposit": "credit",
    "transfer_in": "credit",
    "interest": "credit",
    "cash_withdrawal": "debit",
    "card_withdrawal": "debit",
    "transfer_out": "debit",
}
PURPOSES = {"", "household", "statement_fee", "interest", "pension", "insurance", "loan", "penalty_interest"}
LINE_BYTES_MAX = 4_096  # about forty times a real line: a longer one is not a row, and is not read into memory

_MONEY = re.compile(r"(-?)([0-9]{1,12})\.([0-9]{2})", re.ASCII)
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class NoTransactionsFile(Exception):
    """The file does not begin with the columns of a transactions file."""


class Transaction(msgspec.Struct, frozen=True):
    """One row: `amount` and `printed_balance` are hellers, `line` is its place in the file from 1 (the header)."""

    line: int
    id: str
    account: str
    booked_on: date
    is_credit: bool
    operation: str
    purpose: str
    amount: int
    printed_balance: int
    counterparty_bank: str
    counterparty_account: str


class BadRow(msgspec.Struct, frozen=True):
    """A row that was not imported, and the reason."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def read_transactions(path: str | Path) -> Iterator[Transaction | BadRow]:
    """Yield the rows of a file in order; raise OSError, or NoTransactionsFile if the header does not match."""
    with open(path, "rb") as file:
        lines = _lines(file)
        _check_header(path, next(lines, (1, b""))[1])
        for number, line in lines:
            yield _row(number, line)


def count_rows(path: str | Path) -> int:
    """Return how many rows a file has, good or bad, without the header."""
    with open(path, "rb") as file:
        return max(0, sum(1 for _ in _lines(file)) - 1)


def hellers(koruna: str) -> int:
    """Return an amount of koruna with two decimals as hellers: `-12.50` is -1250."""
    match = _MONEY.fullmatch(koruna)
    if match is None:
        raise ValueError(f"{koruna!r} is not an amount with two decimals")
    whole = int(match[2]) * 100 + int(match[3])
    return -whole if match[1] else whole


def koruna(hellers: int) -> str:
    """Return hellers as koruna with two decimals: -1250 is `-12.50`."""
    whole, rest = divmod(abs(hellers), 100)
    return f"{'-' if hellers < 0 else ''}{whole}.{rest:02}"


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield numbered lines without their ends; None stands for a line that is too long."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) <= LINE_BYTES_MAX:
            yield number, line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES_MAX + 1)
        yield number, None


def _check_header(path: str | Path, line: bytes | None) -> None:
    header = (line or b"").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if header != ",".join(COLUMNS):
        shown = header if len(header) <= 200 else header[:200] + "…"
        raise NoTransactionsFile(
            f"{path} is not a transactions file: its first line is {shown!r}, expected {','.join(COLUMNS)!r}"
        )


def _row(number: int, line: bytes | None) -> Transaction | BadRow:
    try:
        if line is None:
            raise ValueError(f"longer than {LINE_BYTES_MAX} bytes")
        return _transaction(number, _fields(line))
    except ValueError as error:
        return BadRow(number, str(error))


def _fields(line: bytes) -> list[str]:
    if not line:
        raise ValueError("empty line")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"not CSV: {error}") from None
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} columns instead of {len(COLUMNS)}")
    return fields


def _transaction(number: int, fields: list[str]) -> Transaction:
    id, account, day, direction, operation, purpose, amount, balance, bank, counterparty = fields
    for name, value in (("transaction_id", id), ("account_id", account)):
        if not _ID.fullmatch(value):
            raise ValueError(f"{name}: {value!r} is not a number")
    if operation not in OPERATIONS:
        raise ValueError(f"operation: {operation!r} is not one of {', '.join(OPERATIONS)}")
    if direction != OPERATIONS[operation]:
        raise ValueError(f"direction: {direction!r}, but {operation} is a {OPERATIONS[operation]}")
    if purpose not in PURPOSES:
        raise ValueError(f"purpose: {purpose!r} is neither empty nor one of {', '.join(sorted(PURPOSES - {''}))}")
    hellers_booked = _money("amount", amount)
    if hellers_booked <= 0:
        raise ValueError(f"amount: {amount!r} is not more than 0")
    return Transaction(
        number,
        id,
        account,
        _day(day),
        direction == "credit",
        operation,
        purpose,
        hellers_booked,
        _money("balance", balance),
        bank,
        counterparty,
    )


def _money(name: str, value: str) -> int:
    try:
        return hellers(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _day(value: str) -> date:
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError(f"date: {value!r} is not a date like 1993-01-31")
