"""A process that keeps a bank on PostgreSQL busy: bookings, bookings for later, and transfers carried out by sagas.

It runs as `python -m actorium.examples.bank.faults.load <url>`. The URL says `standby=wait`, so it first waits
until no other process holds the log. Work is numbered; the number decides what it is. On standard output it writes
`starts` before it waits and `serves` afterwards, then `ack <command id> <position>` for each acknowledgement,
unbuffered, and `fenced` if another process has taken the log over. It reads the number of its first piece of work from
standard input when it serves.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from functools import partial

import structlog

from actorium import Ack, Runtime
from actorium.errors import Fenced, RuntimeClosed, Transient
from actorium.examples.bank.domain import Account, Credit, Debit, OpenAccount
from actorium.examples.bank.projections import Balances
from actorium.examples.bank.transfers import OrderTransfer, Transfer, TransferOrder

ACCOUNTS = 20
CALLERS = 16
PARTS = (Account, TransferOrder, Transfer, Balances)

DAY = date(1993, 1, 1)
_AMOUNTS = 1_000
_LATER_S = 0.2
_AGAIN_S = 0.05


def kind_of(number: int) -> str:
    """Return what a piece of work is: half of it are bookings, a quarter transfers, a quarter bookings for later."""
    return ("booking", "transfer", "booking", "later")[number % 4]


def amount_of(number: int) -> int:
    """Return the amount of a piece of work in hellers; negative for a debit."""
    amount = number % _AMOUNTS + 1
    return -amount if kind_of(number) == "booking" and number % 3 == 0 else amount


def account_of(number: int) -> str:
    """Return the account of a booking, or the source of a transfer."""
    return str(number // 4 % ACCOUNTS)


def target_of(number: int) -> str:
    """Return the target of a transfer."""
    return str((number // 4 + 1 + number // 80 % (ACCOUNTS - 1)) % ACCOUNTS)


async def work(runtime: Runtime, number: int) -> Ack:
    """Send the command of a piece of work; its id is `w<number>`."""
    id, amount = f"w{number}", amount_of(number)
    match kind_of(number):
        case "transfer":
            order = OrderTransfer(f"t{number}", account_of(number), target_of(number), amount, DAY)
            return await runtime.send(order, command_id=id)
        case "later":
            return await runtime.submit(
                Credit(account_of(number), amount, DAY, "cash"), after_s=_LATER_S, command_id=id
            )
    booking = Credit if amount > 0 else Debit
    return await runtime.send(booking(account_of(number), abs(amount), DAY, "cash"), command_id=id)


async def answered(send: Callable[[], Awaitable[Ack]]) -> Ack:
    """Send until there is an answer, as a client does; raise RuntimeClosed or Fenced if there will be none here."""
    while True:
        try:
            return await send()
        except (RuntimeClosed, Fenced):
            raise
        except Transient:
            await asyncio.sleep(_AGAIN_S)


async def open_account(runtime: Runtime, account: str) -> Ack:
    """Open an account, unless it is open."""
    return await runtime.send(OpenAccount(account, overdraft_limit=None), command_id=f"open-{account}")


def say(line: str) -> None:
    """Write a line to standard output, unbuffered."""
    os.write(1, f"{line}\n".encode())


def _tell(ack: Ack) -> None:
    say(f"ack {ack.command_id} {ack.position}")


async def _call(runtime: Runtime, numbers: Iterator[int]) -> None:
    for number in numbers:
        _tell(await answered(partial(work, runtime, number)))
        await asyncio.sleep(0.002)  # so that sagas and timers get their turns between the faults


async def _main(url: str) -> None:
    runtime = Runtime(PARTS, store=url)
    say("starts")
    await runtime.start()
    say("serves")
    numbers = itertools.count(int(await asyncio.to_thread(sys.stdin.readline)))
    try:
        for account in map(str, range(ACCOUNTS)):
            _tell(await answered(partial(open_account, runtime, account)))
        await asyncio.gather(*(_call(runtime, numbers) for _ in range(CALLERS)))
    except (RuntimeClosed, Fenced):
        reason = await runtime.ended()
        if not isinstance(reason, Fenced):
            raise
        say("fenced")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the other process decides
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(_main(sys.argv[1]))
