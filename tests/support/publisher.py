"""A separate process on one log: publishes the events of its bank, and is killed by its own sink.

`python publisher.py <URL> <taken> <first> <count> <kill at>`: sends `count` deposits from number `first` on, one
after the other; the sink writes the id and the amount of each event into the file `taken`, and kills the process by
SIGKILL when it has written as many lines as `kill at` says (0: never). Without a kill it ends when all is published.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.bank import Account, Deposit, Deposited, OpenAccount

from actorium import Outlet, Runtime
from actorium.types import CloudEvent


async def main(url: str, taken: str, first: int, count: int, kill_at: int) -> None:
    lines = 0
    file = os.open(taken, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def sink(event: CloudEvent) -> None:
        nonlocal lines
        os.write(file, f"{event.id} {event.data['amount']}\n".encode())
        lines += 1
        if lines == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    outlet = Outlet("bank", types=[Deposited], sink=sink, source="/bank", start="beginning")
    async with Runtime([Account, outlet], store=url) as runtime:
        for name in ("alice", "bob"):
            await runtime.send(OpenAccount(name), command_id=f"open {name}")
        position = 0
        for number in range(first, first + count):
            ack = await runtime.send(Deposit("alice" if number % 2 else "bob", number), command_id=f"d{number}")
            position = ack.position
        await runtime.processors[outlet].checkpoint.reached(position)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
