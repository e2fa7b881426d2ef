"""`check`: compare the balances of a runtime with sums computed independently, directly from the file.

This module uses neither the reader nor the domain, so a bug in either shows as a difference.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Collection, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from actorium import NotFound, Runtime
from actorium.examples.bank.domain import Account

PRINTED_TO = 10  # the bank rounds printed balances to 0.10 koruna, so each row may be off by this many hellers
_ASKED_AT_ONCE = 100


class Sum(msgspec.Struct):
    """One account according to the file, in hellers. `complete`: none of its rows was left out."""

    rows: int = 0
    exact: int = 0
    printed: int = 0
    complete: bool = True

    @property
    def is_near_printed(self) -> bool:
        """Whether the exact sum is within the rounding error of the bank's printed balance."""
        return abs(self.exact - self.printed) <= PRINTED_TO * self.rows


class Line(msgspec.Struct, frozen=True):
    """One account: the sum from the file, and the runtime's balance (None: it has no such account)."""

    account: str
    sum: Sum
    balance: int | None
    transactions: int

    @property
    def is_exact(self) -> bool:
        """Whether the runtime's balance and number of transactions equal those of the file."""
        return self.balance == self.sum.exact and self.transactions == self.sum.rows


class Check(msgspec.Struct, frozen=True):
    """The result for all accounts of a file, in the order of their numbers."""

    lines: list[Line]

    @property
    def wrong(self) -> list[Line]:
        """The accounts whose balance is not the exact sum."""
        return [line for line in self.lines if not line.is_exact]

    @property
    def compared_with_print(self) -> list[Line]:
        """The accounts with all their rows; only these can be compared with the bank's printed balance."""
        return [line for line in self.lines if line.sum.complete]

    @property
    def far_from_print(self) -> list[Line]:
        """Those of them whose sum differs from the printed balance by more than rounding can explain."""
        return [line for line in self.compared_with_print if not line.sum.is_near_printed]

    @property
    def holds(self) -> bool:
        """Whether all balances are right."""
        return not self.wrong and not self.far_from_print


def sums(path: str | Path, *, without_lines: Collection[int] = ()) -> dict[str, Sum]:
    """Return the exact sum of every account of a file, without the lines that an import reported as bad.

    It keeps one number per transaction in memory, to count a transaction once even if the file repeats it.
    """
    left_out = frozenset(without_lines)
    totals: dict[str, Sum] = {}
    incomplete: set[str] = set()
    seen: set[int] = set()
    for number, line in _lines(path):
        if number in left_out:
            incomplete.update(line.split(",")[1:2] or [""])
            continue
        id, account, _, direction, _, _, amount, balance, *_ = next(csv.reader([line]))
        if int(id) in seen:
            continue
        seen.add(int(id))
        total = totals.setdefault(account, Sum())
        total.rows += 1
        total.exact += int(Decimal(amount) * 100) * (1 if direction == "credit" else -1)
        total.printed = int(Decimal(balance) * 100)
    everybody_may_be_short = not incomplete <= totals.keys()  # a bad row without an account may belong to any account
    for account, total in totals.items():
        total.complete = not everybody_may_be_short and account not in incomplete
    return totals


async def check(runtime: Runtime, totals: dict[str, Sum]) -> Check:
    """Ask a runtime for every account of a file and compare it with the sums."""
    accounts = sorted(totals, key=int)
    lines: list[Line] = []
    for first in range(0, len(accounts), _ASKED_AT_ONCE):
        asked = accounts[first : first + _ASKED_AT_ONCE]
        lines += await asyncio.gather(*(_line(runtime, account, totals[account]) for account in asked))
    return Check(lines)


async def _line(runtime: Runtime, account: str, total: Sum) -> Line:
    try:
        state = await runtime.get(Account, account)
    except NotFound:
        return Line(account, total, None, 0)
    return Line(account, total, state.balance, state.transactions)


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines below the header, whatever they contain."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if number > 1:
                yield number, line.rstrip("\r\n")
