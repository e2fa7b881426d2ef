"""A node that keeps a bank busy: bookings, bookings for later, transfers carried out by sagas, and reads of its own.

It runs as `python -m actorium.examples.bank.nodes.load <url> <name> [<wire>]`. Each line on standard input is an order:
`begin <number>` starts the callers, with the number of their first piece of work; `again <first> <last>` sends work of
a node that died once more; `leave` stops the node. On standard output it writes, unbuffered,

- `serves` when it accepts commands;
- `ack <command id> <position> <caller> <seconds>` for each acknowledgement, with the time since it was first sent;
- `wrong <text>` for a read that lacks what its caller was told before;
- `fenced` if the others took it for gone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from actorium import Ack, Runtime
from actorium.cluster import Cluster
from actorium.errors import Fenced, RuntimeClosed, Transient
from actorium.examples.bank.domain import Account, Credit
from actorium.examples.bank.faults.load import ACCOUNTS, DAY, PARTS, answered, open_account, say, work
from actorium.examples.bank.projections import Balances

CALLERS = 8
NOBODY = -1
"""The caller of work that is sent once more."""
_PAUSE_S = 0.02  # so that sagas, timers and the other nodes get their turns
_OWN_EVERY = 4


class LoadedNode:
    """The callers of one node."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._callers: set[asyncio.Task[None]] = set()

    async def obey(self) -> None:
        """Carry out the orders on standard input until it ends or the runtime does."""
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            order, *numbers = line.decode().split()
            match order:
                case "begin":
                    counter = itertools.count(int(numbers[0]))
                    for caller in range(CALLERS):
                        self._start(self._call(caller, f"own-{numbers[0]}-{caller}", counter))
                case "again":
                    self._start(self._again(range(int(numbers[0]), int(numbers[1]) + 1)))
                case "leave":
                    for task in self._callers:
                        task.cancel()
                    await asyncio.gather(*self._callers, return_exceptions=True)
                    await self._runtime.stop()
                    return

    def _start(self, calls: Coroutine[Any, Any, None]) -> None:
        async def until_closed() -> None:
            with suppress(RuntimeClosed, Fenced):
                await calls

        task = asyncio.create_task(until_closed())
        self._callers.add(task)
        task.add_done_callback(self._callers.discard)

    async def _call(self, caller: int, own: str, numbers: Iterator[int]) -> None:
        """Send one piece of work after the other; now and then, read an account that only this caller writes."""
        for account in map(str, range(ACCOUNTS)):
            await answered(partial(open_account, self._runtime, account))
        await answered(partial(open_account, self._runtime, own))
        balance = 0
        for count, number in enumerate(numbers, 1):
            await self._send(partial(work, self._runtime, number), caller)
            if count % _OWN_EVERY == 0:
                balance += number
                credit = Credit(own, number, DAY, "cash")
                ack = await self._send(partial(self._runtime.send, credit, command_id=f"{own}-{count}"), caller)
                await self._compare(own, balance, ack.position)
            await asyncio.sleep(_PAUSE_S)

    async def _send(self, send: Callable[[], Any], caller: int) -> Ack:
        began = time.monotonic()
        ack = await answered(send)
        say(f"ack {ack.command_id} {ack.position} {caller} {time.monotonic() - began:.3f}")
        return ack

    async def _compare(self, own: str, balance: int, position: int) -> None:
        with suppress(Transient):
            state = await self._runtime.get(Account, own)
            if state.balance != balance:
                say(f"wrong the state of {own} is {state.balance} after {balance} was acknowledged")
            row = await self._runtime.query(Balances.of, own, after=position)
            if row != balance:
                say(f"wrong the row of {own} is {row} after {balance} was acknowledged at position {position}")

    async def _again(self, numbers: range) -> None:
        for number in numbers:
            await self._send(partial(work, self._runtime, number), NOBODY)


async def _main(url: str, name: str, wire: str = "") -> None:
    runtime = Runtime(PARTS, store=url, cluster=Cluster(node=name, wire=wire))
    try:
        await runtime.start()
    except Fenced:  # it was held up for longer than its lease
        say("fenced")
        return
    say("serves")
    orders = asyncio.create_task(LoadedNode(runtime).obey())
    reason = await runtime.ended()
    if isinstance(reason, Fenced):
        say("fenced")
        orders.cancel()
    else:
        await orders
        if reason is not None:
            raise reason


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the other process decides
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(_main(*sys.argv[1:]))
