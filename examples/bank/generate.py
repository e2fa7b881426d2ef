"""`generate`: a seeded set of transactions in the format of the real ones, month by month."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from actorium.examples.bank.transactions import COLUMNS, OPERATIONS, koruna

DEFAULT_ROWS = 10_000
DEFAULT_ACCOUNTS = 300
DEFAULT_SEED = 1993

_FIRST_YEAR = 1993
_MONTHS_OF_OPENINGS = 4  # accounts open over these months, while the bank grows
_STATEMENT_FEE = 14_60
_BANKS = ("AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ")
_TRANSFERS_IN = ("", "pension")
_TRANSFERS_OUT = ("household", "insurance", "loan", "")
# The bank rounds printed balances to this many hellers, so checks against them need a tolerance.
PRINTED_TO = 10

Row = tuple[str, ...]


def generate(
    path: str | Path, *, rows: int = DEFAULT_ROWS, accounts: int | None = None, seed: int = DEFAULT_SEED
) -> None:
    """Write a file of `rows` transactions; the same arguments write the same file.

    accounts: by default, as many as give the set the density of the real one. In a set of few rows, some accounts may
        not have been opened yet.
    """
    if rows < 1 or (accounts is not None and accounts < 1):
        raise ValueError(f"rows={rows}, accounts={accounts}: a set needs at least one row and one account")
    if accounts is None:
        accounts = max(1, rows * DEFAULT_ACCOUNTS // DEFAULT_ROWS)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row for row, _ in zip(_Bank(seed, accounts).rows(), range(rows), strict=False))


class _Customer:
    """One account: its balance and the habits of its owner."""

    def __init__(self, chance: random.Random, account: int) -> None:
        self.account = account
        self.opens_in_month = chance.randrange(_MONTHS_OF_OPENINGS)
        self.opens_on_day = chance.randint(1, 20)
        self.income = chance.randint(30_000, 600_000) * 10
        self.income_purpose = chance.choice(_TRANSFERS_IN)
        self.employer = _counterparty(chance)
        self.orders = [
            (chance.choice(_TRANSFERS_OUT), self.income * chance.randint(3, 18) // 100, _counterparty(chance))
            for _ in range(chance.randint(0, 2))
        ]
        self.balance = 0


class _Bank:
    """All accounts, and the transactions their owners make month after month."""

    def __init__(self, seed: int, accounts: int) -> None:
        self._chance = random.Random(seed)
        numbers = self._chance.sample(range(1, accounts * 20 + 1), accounts)
        self._customers = [_Customer(self._chance, number) for number in sorted(numbers)]
        self._last_id = 0

    def rows(self) -> Iterator[Row]:
        """Yield rows in date order, endlessly."""
        month = 0
        while True:
            booked = [booking for customer in self._customers for booking in self._month(customer, month)]
            # A stable sort: bookings of one account on one day keep their order, which the balances depend on.
            booked.sort(key=lambda booking: booking[0])
            for day, customer, operation, purpose, amount, counterparty in booked:
                yield self._row(day, customer, operation, purpose, amount, counterparty)
            month += 1

    def _month(
        self, customer: _Customer, month: int
    ) -> Iterator[tuple[date, _Customer, str, str, int, tuple[str, str]]]:
        chance = self._chance
        first, last = _days(month)
        nobody = ("", "")
        if month < customer.opens_in_month:
            return
        if month == customer.opens_in_month:
            opening = first + timedelta(days=customer.opens_on_day - 1)
            yield opening, customer, "cash_deposit", "", chance.randint(2, 15) * 100_00, nobody
            yield last, customer, "interest", "interest", chance.randint(50, 900), nobody
            return
        payday = first + timedelta(days=chance.randint(4, 12))
        yield payday, customer, "transfer_in", customer.income_purpose, customer.income, customer.employer
        for purpose, amount, counterparty in customer.orders:
            yield payday + timedelta(days=1), customer, "transfer_out", purpose, amount, counterparty
        for _ in range(chance.randint(1, 4)):
            operation = "card_withdrawal" if chance.random() < 0.05 else "cash_withdrawal"
            amount = customer.income * chance.randint(5, 45) // 100 // 10_00 * 10_00 + 10_00
            yield first + timedelta(days=chance.randint(0, 27)), customer, operation, "", amount, nobody
        if chance.random() < 0.2:
            paid_in = first + timedelta(days=chance.randint(0, 27))
            yield paid_in, customer, "cash_deposit", "", chance.randint(1, 200) * 100_00, nobody
        yield last, customer, "interest", "interest", chance.randint(100, 20_000), nobody
        yield last, customer, "cash_withdrawal", "statement_fee", _STATEMENT_FEE, nobody

    def _row(
        self, day: date, customer: _Customer, operation: str, purpose: str, amount: int, counterparty: tuple[str, str]
    ) -> Row:
        self._last_id += self._chance.randint(1, 40)
        direction = OPERATIONS[operation]
        customer.balance += amount if direction == "credit" else -amount
        printed = (customer.balance + PRINTED_TO // 2) // PRINTED_TO * PRINTED_TO
        return (
            str(self._last_id),
            str(customer.account),
            day.isoformat(),
            direction,
            operation,
            purpose,
            koruna(amount),
            koruna(printed),
            *counterparty,
        )


def _counterparty(chance: random.Random) -> tuple[str, str]:
    return chance.choice(_BANKS), str(chance.randint(1_000_000, 99_999_999))


def _days(month: int) -> tuple[date, date]:
    """Return the first and the last day of the n-th month, from 0."""
    year, of_year = divmod(month, 12)
    first = date(_FIRST_YEAR + year, of_year + 1, 1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
