"""A separate process that requests transfers on one SQLite file, and writes a dot for each that is accepted.

`python transfer_child.py <database> <count>`: request n has the id `ask <n>`; one in ten goes to an account that takes
no deposits. It ends when all sagas are over, unless it is killed before.
"""

import asyncio
import os
import sys
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.transfers import Account, Ask, Desk, Transfer, open_accounts

from actorium import Runtime

ACCOUNTS = 20
BALANCE = 1_000_000
CALLERS = 20


def names() -> dict[str, int]:
    """The accounts: two of them take no deposits."""
    return {f"a{n}" if n >= 2 else f"a{n}_closed": BALANCE for n in range(ACCOUNTS)}


def request(number: int) -> Ask:
    """Request number n: from an open account to another, every tenth to a closed one."""
    source = f"a{2 + number % (ACCOUNTS - 2)}"
    target = f"a{number // 10 % 2}_closed" if number % 10 == 0 else f"a{2 + (number + 7) % (ACCOUNTS - 2)}"
    return Ask(f"desk{number % 50}", source, target, 1 + number % 97)


async def transfer(runtime: Runtime, count: int, *, say: bool = False) -> None:
    """Request all transfers that were not requested yet; write a dot to stdout for each of them."""
    await open_accounts(runtime, **names())
    numbers = iter(range(count))

    async def call() -> None:
        for number in numbers:
            ack = await runtime.send(request(number), command_id=f"ask {number}")
            if say and not ack.duplicate:
                os.write(1, b".")

    await asyncio.gather(*(call() for _ in range(CALLERS)))


async def ended(runtime: Runtime, count: int) -> None:
    """Return when this many sagas have ended."""
    while True:
        over = 0
        async for saga in runtime.sagas.list(Transfer):
            over += saga.status in ("completed", "undone")
        if over == count:
            return
        await asyncio.sleep(0.05)


async def main(url: str, count: int) -> None:
    async with Runtime([Account, Desk, Transfer], store=url) as runtime:
        await transfer(runtime, count, say=True)
        await ended(runtime, count)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
