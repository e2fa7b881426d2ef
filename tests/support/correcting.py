"""A small bank with every kind of part: what the tests of corrections run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

from actorium import (
    Aggregate,
    Command,
    Event,
    IdempotencyKey,
    Key,
    Outlet,
    Projection,
    Reader,
    RecordedEvent,
    Runtime,
    Table,
    Transaction,
    create,
    evolve,
    on,
    query,
    react,
)
from actorium.examples.bank.domain import (
    Account,
    AccountOpened,
    BookingCorrected,
    Credit,
    Credited,
    Debited,
    OpenAccount,
)
from actorium.examples.bank.projections import Balances
from actorium.examples.bank.transfers import OrderTransfer, Transfer, TransferOrder
from actorium.store.event_store import EventStore
from actorium.types import CloudEvent

DAY = date(1993, 1, 1)


class Booked(Table):
    """The bookings of an account, counted and summed."""

    account: Key[str]
    count: int = 0
    sum: int = 0


class Bookings(Projection):
    """The bookings of each account."""

    tables = [Booked]

    @on
    def credited(self, event: Credited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.add(Booked(recorded.stream_id, 1, event.amount))

    @on
    def debited(self, event: Debited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.add(Booked(recorded.stream_id, 1, -event.amount))

    @on
    def corrected(self, event: BookingCorrected, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.add(Booked(recorded.stream_id, 0, event.difference if event.is_credit else -event.difference))

    @query
    async def of(self, db: Reader, account: str) -> tuple[int, int]:
        row = await db.get(Booked, account)
        return (row.count, row.sum) if row is not None else (0, 0)


class Openings(Projection):
    """How many accounts were opened; it keeps no tables."""

    count: int = 0

    @on
    def opened(self, event: AccountOpened) -> None:
        self.count += 1

    @query
    def all(self) -> int:
        return self.count


class Outside:
    """What reached the outside: published events, and thanks with their keys."""

    def __init__(self) -> None:
        self.published: list[CloudEvent] = []
        self.thanked: list[str] = []
        self.away = False
        self.open = asyncio.Event()  # while it is clear, nobody can be thanked
        self.open.set()

    async def sink(self, event: CloudEvent) -> None:
        self.published.append(event)

    def parts(self) -> list[Any]:
        """Return an outlet and a reaction that reach it."""

        @react(on_replay="skip", name="thank", rerun=True)
        async def thank(event: Credited, key: IdempotencyKey) -> None:
            if self.away:
                raise ConnectionError("nobody is there")
            await self.open.wait()
            self.thanked.append(key)

        outlet = Outlet(
            "bank", types=[Credited, Debited, BookingCorrected], sink=self.sink, source="/bank", start="beginning"
        )
        return [outlet, thank]


class Tax(Command):
    """Its event does not hold the rate."""

    rate: int
    bonus: int = 0


class Taxed(Event):
    amount: int


class Wage(Aggregate):
    gross: int = 1_000
    taxed: int = 0

    @create
    def tax(self, command: Tax) -> Taxed:
        return Taxed(self.gross * command.rate // 100)

    @evolve
    def was_taxed(self, event: Taxed) -> None:
        self.taxed += event.amount


PARTS: list[Any] = [Account, TransferOrder, Transfer, Balances, Bookings, Openings]


def bank(store: str | EventStore, outside: Outside | None = None, **more: Any) -> Runtime:
    """Return a bank, not started."""
    parts: list[Any] = [*PARTS, *(outside.parts() if outside is not None else [])]
    return Runtime(parts, store=store, **more)


async def open_account(runtime: Runtime, account: str, amount: int) -> None:
    """Open an account and pay in."""
    await runtime.send(OpenAccount(account))
    await runtime.send(Credit(account, amount, DAY, "cash_deposit"))


async def transfer(runtime: Runtime, id: str, source: str, target: str, amount: int) -> None:
    """Carry out a transfer."""
    await runtime.send(OrderTransfer(id, source, target, amount, DAY))
    await runtime.sagas.get(Transfer, id, ended_within_s=10)


async def until(condition: Callable[[], bool], runtime: Runtime) -> None:
    """Wait until the followers of the log have caused something."""
    moves = [processor.checkpoint for processor in runtime.processors.values()]
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.wait([one.moved() for one in moves], timeout=0.05, return_when="FIRST_COMPLETED")
