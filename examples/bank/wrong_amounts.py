"""Plants wrong amounts in a file of transactions, and computes from a file what a corrected bank must show.

The sums use neither the reader nor the domain, so a bug in either shows as a difference.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

TIMES = 10  # a wrong amount is so many times the right one

Turnovers = Mapping[tuple[str, str], tuple[int, int]]
"""The hellers booked in and out by month and purpose."""


def plant(source: Path, target: Path, count: int) -> dict[str, int]:
    """Write a copy of a file in which `count` rows of the busiest day have a wrong amount.

    Returns the right amounts in hellers by transaction id. Raises ValueError if the day has fewer rows.
    """
    days = Counter(row["date"] for row in _rows(source))
    ((day, rows),) = days.most_common(1)
    if rows < count:
        raise ValueError(f"the busiest day, {day}, has {rows} transactions, not {count}")
    right: dict[str, int] = {}
    with open(target, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(_rows(source)):
            if number == 0:
                writer.writerow(row)
            if row["date"] == day and len(right) < count:
                amount = Decimal(row["amount"])
                right[row["transaction_id"]] = int(amount * 100)
                row["amount"] = str(amount * TIMES)
            writer.writerow(row.values())
    return right


def balances(path: Path) -> dict[str, int]:
    """Return the balance of each account in hellers."""
    sums: Counter[str] = Counter()
    for row in _rows(path):
        sums[row["account_id"]] += _hellers(row)
    return dict(sums)


def turnovers(path: Path) -> Turnovers:
    """Return the turnover of each month and purpose."""
    credits: Counter[tuple[str, str]] = Counter()
    debits: Counter[tuple[str, str]] = Counter()
    for row in _rows(path):
        key, hellers = (row["date"][:7], row["purpose"]), _hellers(row)
        credits[key] += max(hellers, 0)
        debits[key] += max(-hellers, 0)
    return {key: (credits[key], debits[key]) for key in {*credits, *debits}}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _hellers(row: Mapping[str, str]) -> int:
    return int(Decimal(row["amount"]) * 100) * (1 if row["direction"] == "credit" else -1)
