"""`actorium demo services`: three services and a bus, killed one after the other while orders are placed."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.errors import Transient
from actorium.examples.shop.audit import ShopAudit, audited
from actorium.examples.shop.messages import OpenCustomer, PlaceOrder
from actorium.examples.shop.processes import Shop
from actorium.examples.shop.shipping import OUT_OF_REACH
from actorium.services import Client, RemoteService

DEFAULT_ORDERS = 2_000
_CUSTOMERS = 50
_AMOUNT_MAX = 10_000
_AT_ONCE = 50
_RETRY_S = 0.2
_END_S = 300.0
_PROBLEMS_SHOWN = 10

orders = RemoteService("orders", commands=[PlaceOrder])
customers = RemoteService("customers", commands=[OpenCustomer])


class ServicesDemo:
    """One run of the demonstration.

    orders: how many orders to place.
    seed: draws the customers, amounts and addresses.
    nats_server: the program of the bus; found beside Python or on the path if None.
    """

    def __init__(self, screen: Screen, *, orders: int, seed: int, keep: bool, nats_server: str | None) -> None:
        self._screen = screen
        self._orders = orders
        self._random = random.Random(seed)
        self._keep = keep
        self._nats_server = nats_server
        self._kills: dict[int, str] = {}

    def run(self) -> ShopAudit:
        """Run the demonstration; raise Problem if a promise is broken."""
        with ExitStack() as cleanup:
            folder = Path(tempfile.mkdtemp(prefix="actorium-shop-"))
            if not self._keep:
                cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            shop = Shop(folder, self._nats_server)
            cleanup.callback(shop.stop)
            shop.start()
            self._screen.head("Three services and a bus are running: orders, customers, shipping, nats-server")
            began = time.monotonic()
            placed = asyncio.run(self._place(shop))
            self._finish(shop)
            took_s = time.monotonic() - began
            shop.stop()
            audit = asyncio.run(audited(shop.store, placed))
            self._report(audit, took_s)
            if self._keep:
                self._screen.say(f"kept: {folder}")
            return audit

    async def _place(self, shop: Shop) -> dict[str, int]:
        """Place the orders, and kill each process once on the way; return the amount of each order."""
        limit = self._orders * _AMOUNT_MAX // (2 * _CUSTOMERS)
        names = list(shop.processes)
        self._kills = {self._orders * (n + 1) // (len(names) + 1): name for n, name in enumerate(reversed(names))}
        placed: dict[str, int] = {}
        waiting: set[asyncio.Task[None]] = set()
        async with Client(shop.bus, [orders, customers], name="web") as client:
            for number in range(_CUSTOMERS):
                await _until_taken(client, OpenCustomer(f"customer-{number}", limit * 9 // 10), f"open {number}")
            with self._screen.progress("orders", self._orders) as show:
                for number in range(self._orders):
                    if (name := self._kills.get(number)) is not None:
                        self._screen.say(f"{number} orders placed: killing {name}")
                        await asyncio.to_thread(_kill_and_start, shop, name)
                    id, command = self._order(number)
                    placed[id] = command.amount
                    while len(waiting) >= _AT_ONCE:
                        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    waiting.add(asyncio.create_task(_until_taken(client, command, f"place {id}")))
                    show(number + 1)
            if waiting:
                await asyncio.gather(*waiting)
        return placed

    def _order(self, number: int) -> tuple[str, PlaceOrder]:
        draw = self._random
        id = f"order-{number}"
        address = OUT_OF_REACH if draw.random() < 0.05 else f"street {number}"
        customer = f"customer-{draw.randrange(_CUSTOMERS)}"
        return id, PlaceOrder(id, customer, draw.randint(1, _AMOUNT_MAX), address)

    def _finish(self, shop: Shop) -> None:
        """Wait until every saga has ended, and every published event has arrived."""
        _wait(lambda: shop.state("orders", "unfinished") == {"running": 0, "stuck": 0}, "the sagas to end")
        _wait(lambda: all(_is_idle(shop, name) for name in ("orders", "customers", "shipping")), "the events to arrive")

    def _report(self, audit: ShopAudit, took_s: float) -> None:
        if audit.problems:
            shown = "\n".join(audit.problems[:_PROBLEMS_SHOWN])
            raise Problem(f"{len(audit.problems)} promises were broken:\n{shown}")
        say = self._screen.say
        say(f"killed and started again: {', '.join(self._kills.values())}")
        say(
            f"{audit.approved + audit.rejected} orders: {audit.approved} approved, {audit.rejected} rejected and undone"
        )
        say(f"credit reserved: {audit.credit}, exactly that of the approved orders, and within every limit")
        say(f"shipments: {audit.shipments}, one for each approved order")
        say(f"events published to other services: {audit.published}, each arrived once")
        say(f"{took_s:.1f} s")


async def _until_taken(client: Client, command: OpenCustomer | PlaceOrder, command_id: str) -> None:
    """Send a command under one id until it is acknowledged."""
    while True:
        try:
            await client.send(command, command_id=command_id, timeout_s=5.0)
            return
        except Transient:
            await asyncio.sleep(_RETRY_S)


def _kill_and_start(shop: Shop, name: str) -> None:
    process = shop.processes[name]
    process.kill()
    process.start()


def _is_idle(shop: Shop, name: str) -> bool:
    state = shop.state(name)
    return state is not None and all(lag == 0 for _, _, lag in state["processors"].values())


def _wait(condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + _END_S
    settled = 0
    while settled < 3:  # a follower may not know yet how much there is
        settled = settled + 1 if condition() else 0
        if time.monotonic() > ends:
            raise Problem(f"waited {_END_S:g} s for {what}")
        time.sleep(0.5)
