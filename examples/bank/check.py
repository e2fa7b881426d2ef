"""`check`: the balances of a runtime beside sums that were made without it, straight from the file.

Nothing here goes through the reader or the domain: a mistake there would show as a difference.
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

PRINTED_TO = 10  # the bank prints balances to 0.10 koruna, so each row may be off by as many hellers
_ASKED_AT_ONCE = 100


class Sum(msgspec.Struct):
    """One account as the file has it, in hellers. `complete`: no row of it was left out."""

    rows: int = 0
    exact: int = 0
    printed: int = 0
    complete: bool = True

    @property
    def is_near_printed(self) -> bool:
        """Whether the exact sum lies within the rounding of the bank's printed balance."""
        return abs(self.exact - self.printed) <= PRINTED_TO * self.rows


class Line(msgspec.Struct, frozen=True):
    """One account: what the file sums up to, and what the runtime says (None: it has no such account)."""

    account: str
    sum: Sum
    balance: int | None
    transactions: int

    @property
    def is_exact(self) -> bool:
        """Whether the runtime's balance is the exact sum, made of as many transactions."""
        return self.balance == self.sum.exact and self.transactions == self.sum.rows


class Check(msgspec.Struct, frozen=True):
    """The outcome for all accounts of a file, in the order of their numbers."""

    lines: list[Line]

    @property
    def wrong(self) -> list[Line]:
        """Accounts whose balance is not the exact sum."""
        return [line for line in self.lines if not line.is_exact]

    @property
    def compared_with_print(self) -> list[Line]:
        """Accounts with all their rows: only those can be held against the bank's printed balance."""
        return [line for line in self.lines if line.sum.complete]

    @property
    def far_from_print(self) -> list[Line]:
        """Of those, the ones that are further from the printed balance than rounding can explain."""
        return [line for line in self.compared_with_print if not line.sum.is_near_printed]

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be."""
        return not self.wrong and not self.far_from_print


def sums(path: str | Path, *, without_lines: Collection[int] = ()) -> dict[str, Sum]:
    """Return the exact sum of every account of a file, leaving out the lines that an import reported as bad.

    It keeps one number per transaction in memory, to count a transaction once however often the file has it.
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
    everybody_may_be_short = not incomplete <= totals.keys()  # a bad row that names no account is some account's
    for account, total in totals.items():
        total.complete = not everybody_may_be_short and account not in incomplete
    return totals


async def check(runtime: Runtime, totals: dict[str, Sum]) -> Check:
    """Ask a runtime for every account of a file and hold it against the sums."""
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
    """Yield the numbered lines below the header, whatever is in them."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if number > 1:
                yield number, line.rstrip("\r\n")
