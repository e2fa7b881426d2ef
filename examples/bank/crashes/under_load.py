"""A process that keeps a bank busy until it is killed.

It runs as `python -m actorium.examples.bank.crashes.under_load <db> <first>`. Several callers book concurrently; the
bookings are numbered from `first`. Each acknowledgement is written to standard output immediately, unbuffered, as one
line: `ack <command id> <version> <position>`. So after its death the reader of the pipe knows which commands were
acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterator
from datetime import date

import structlog

from actorium import Ack, Runtime
from actorium.examples.bank.domain import Account, Credit, Debit, OpenAccount
from actorium.store.sqlite import SQLiteStore

ACCOUNTS = 20
CALLERS = 24

_BOOKED_ON = date(1993, 1, 1)
_AMOUNTS = 1_000
_ONE_OF_SO_MANY_IS_A_DEBIT = 3


def account_of(number: int) -> str:
    """Return the account of a booking."""
    return str(number % ACCOUNTS)


def amount_of(number: int) -> int:
    """Return the amount of a booking in hellers; negative for a debit."""
    amount = number % _AMOUNTS + 1
    return amount if number % _ONE_OF_SO_MANY_IS_A_DEBIT else -amount


def booking(number: int) -> Credit | Debit:
    """Return the command of a booking; its id is `c<number>`."""
    amount = amount_of(number)
    kind = Credit if amount > 0 else Debit
    return kind(account_of(number), abs(amount), _BOOKED_ON, "cash")


def _say(ack: Ack) -> None:
    os.write(1, f"ack {ack.command_id} {ack.version} {ack.position}\n".encode())


async def _call(runtime: Runtime, numbers: Iterator[int]) -> None:
    for number in numbers:
        _say(await runtime.send(booking(number), command_id=f"c{number}"))


async def _work(db: str, first: int) -> None:
    async with Runtime([Account], store=SQLiteStore(db)) as runtime:
        for account in range(ACCOUNTS):
            opened = await runtime.send(OpenAccount(f"{account}", overdraft_limit=None), command_id=f"open-{account}")
            _say(opened)
        numbers = itertools.count(first)
        await asyncio.gather(*(_call(runtime, numbers) for _ in range(CALLERS)))


def main(db: str, first: str) -> None:
    """Work until the process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the other process decides
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(_work(db, int(first)))


if __name__ == "__main__":
    main(*sys.argv[1:])
