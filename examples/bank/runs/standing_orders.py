"""`StandingOrdersRun`: pays months of standing orders on the screen, and compares the result with the books."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec

from actorium import Runtime
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.examples.bank.domain import Account, Credit, Credited, Debited, OpenAccount
from actorium.examples.bank.partner import PartnerBank
from actorium.examples.bank.payment_orders import PaymentOrder
from actorium.examples.bank.standing_orders import (
    BeginMonth,
    Clock,
    RegisterStandingOrder,
    first_of_next_month,
    standing_orders_bank,
    transfer_id,
)
from actorium.examples.bank.transactions import koruna
from actorium.examples.bank.transfers import TransferReturned, TransferSettled, payment_key
from actorium.store.wording import counted

FIRST_MONTH = date(1993, 1, 1)
_SIDE_BY_SIDE = 500
_FUNDED_MONTHS = 120  # the number of payments that most accounts can afford
_POOR_PERCENT = 10  # the percentage of accounts that run out of money within the first year
_NO_NEWS_S = 120.0
_WRONG_SHOWN = 10
_OUR_SAGA = "bank.payment"
_BROKE = "insufficient funds"  # rejected before anything was done


class Moved(msgspec.Struct):
    """The record of one transfer in the bank's own log: how often and how much was debited and refunded."""

    debits: int = 0
    refunds: int = 0
    debited: int = 0
    refunded: int = 0


class StandingOrdersRun:
    """Pays orders for a number of months and checks the result; `db` is the log, the partner's is beside it."""

    def __init__(self, screen: Screen, orders: Sequence[PaymentOrder], *, months: int, db: Path, seed: int) -> None:
        self._screen = screen
        self._orders = orders
        self._months = months
        self._seed = seed
        self._clock = Clock()
        self._partner = PartnerBank(f"sqlite:///{db.with_name(db.name + '.partner')}", seed=seed)
        self._bank = standing_orders_bank(f"sqlite:///{db}", self._partner, source=self._clock)
        self._monthly: dict[str, int] = defaultdict(int)
        for order in orders:
            self._monthly[order.account] += order.amount
        self.paid: set[str] = set()
        self.returned: dict[str, str] = {}

    async def run(self) -> None:
        """Pay and check; raise Problem if a promise is broken."""
        began = time.perf_counter()
        self._clock.put_to(FIRST_MONTH)
        async with self._partner, self._bank:
            funded = await self._open_accounts()
            await self._register()
            self._screen.say(
                f"{len(self._orders):,} standing orders from {len(self._monthly):,} accounts, "
                f"{koruna(sum(self._monthly.values()))} per month, in {self._bank.store.describe()}"
            )
            rows = await self._pay_all_months()
            took_s = time.perf_counter() - began
            self._screen.table(["month", "paid", "koruna", "rejected", "undone"], rows)
            self._say_how_it_went(took_s)
            await self._prove(funded)

    # --- paying ---------------------------------------------------------------------------------------------------

    async def _open_accounts(self) -> int:
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def open_account(account: str, monthly: int) -> int:
            chance = random.Random(f"{self._seed}/{account}")
            months = chance.randint(1, 11) if chance.randrange(100) < _POOR_PERCENT else _FUNDED_MONTHS
            async with places:
                await self._bank.send(OpenAccount(account), command_id=f"open {account}")
                deposit = Credit(account, months * monthly, FIRST_MONTH, "cash_deposit")
                await self._bank.send(deposit, command_id=f"fund {account}")
            return deposit.amount

        return sum(await asyncio.gather(*(open_account(*item) for item in self._monthly.items())))

    async def _register(self) -> None:
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def register(order: PaymentOrder) -> None:
            terms = (order.account, order.bank, order.target, order.amount, order.purpose, FIRST_MONTH)
            async with places:
                await self._bank.send(RegisterStandingOrder(order.id, *terms), command_id=f"register {order.id}")

        await asyncio.gather(*(register(order) for order in self._orders))

    async def _pay_all_months(self) -> list[list[str]]:
        rows = []
        month = FIRST_MONTH
        ended = self._bank.events(types=[TransferSettled, TransferReturned])
        with self._screen.progress("paying", self._months * len(self._orders)) as update:
            for _ in range(self._months):
                self._clock.put_to(month)
                await self._bank.submit(BeginMonth("calendar", month), command_id=f"begin {month:%Y-%m}")
                waited_for = {transfer_id(order.id, month) for order in self._orders}
                waited_for -= self.paid | self.returned.keys()
                try:
                    while waited_for:
                        async with asyncio.timeout(_NO_NEWS_S):
                            recorded = await anext(ended)
                        self._note(recorded.stream_id, recorded.event)
                        waited_for.discard(recorded.stream_id)
                        update(len(self.paid) + len(self.returned))
                except TimeoutError:
                    raise Problem(await self._why_nothing_comes(waited_for)) from None
                rows.append(self._row(month))
                month = first_of_next_month(month)
        await self._recalls_are_over()
        return rows

    def _note(self, transfer: str, event: object) -> None:
        if isinstance(event, TransferReturned):
            self.returned[transfer] = event.reason
        else:
            self.paid.add(transfer)

    async def _why_nothing_comes(self, waited_for: set[str]) -> str:
        stuck = [f"{saga.id}: {saga.reason}" async for saga in self._bank.sagas.list(status="failed")]
        shown = ", ".join(sorted(waited_for)[:_WRONG_SHOWN])
        return f"{len(waited_for):,} payments did not finish ({shown}, …). Stuck sagas: {stuck or 'none'}"

    async def _recalls_are_over(self) -> None:
        end = self._bank.statistics().position
        for processor in self._bank.processors.values():
            if processor.name == "reaction bank.recalls":
                await processor.checkpoint.reached(end)

    def _row(self, month: date) -> list[str]:
        transfers = {transfer_id(order.id, month): order for order in self._orders}
        paid = [order.amount for transfer, order in transfers.items() if transfer in self.paid]
        reasons = [self.returned[transfer] for transfer in transfers if transfer in self.returned]
        rejected = sum(1 for reason in reasons if reason == _BROKE)
        return [
            f"{month:%Y-%m}",
            f"{len(paid):,}",
            koruna(sum(paid)),
            f"{rejected:,}",
            f"{len(reasons) - rejected:,}",
        ]

    def _say_how_it_went(self, took_s: float) -> None:
        payments = len(self.paid) + len(self.returned)
        self._screen.say(
            f"  {payments:,} payments in {took_s:.1f} s, {payments / took_s:,.0f} per second: {len(self.paid):,} paid, "
            f"{len(self.returned):,} not paid"
        )
        for reason, times in Counter(self.returned.values()).most_common():
            what = "rejected, nothing to undo" if reason == _BROKE else "undone, the debit refunded"
            self._screen.say(f"  {reason}: {times:,} ({what})")
        self._screen.say(
            f"  the partner bank left {self._partner.unanswered:,} calls unanswered and confirmed "
            f"{self._partner.confirmed_twice:,} payments twice"
        )

    # --- checking -------------------------------------------------------------------------------------------------

    async def _prove(self, funded: int) -> None:
        """Compare the two banks' logs with each other, and the balances with both."""
        moved = await _moved(self._bank)
        books = await self._partner.books()
        balances = [(await self._bank.get(Account, account)).balance for account in self._monthly]
        held = sum(amount for _, amount in books.values())
        wrong = self._wrong(moved, books)
        self._screen.say(
            f"  accounts {koruna(sum(balances))} + partner bank {koruna(held)} = {koruna(sum(balances) + held)}; "
            f"paid in: {koruna(funded)}"
        )
        for line in wrong[:_WRONG_SHOWN]:
            self._screen.complain(f"  {line}")
        if wrong or sum(balances) + held != funded:
            raise Problem(f"FAILED: {len(wrong):,} payments wrong; {koruna(funded - held - sum(balances))} lost")
        self._screen.say(f"money is conserved, and none of {len(moved):,} payments was made twice", style="bold green")

    def _wrong(self, moved: dict[str, Moved], books: dict[str, tuple[int, int]]) -> list[str]:
        """Return a line for each transfer that is duplicated in one of the logs, or differs between them."""
        wrong = []
        for transfer in sorted(self.paid | self.returned.keys() | moved.keys()):
            here = moved.get(transfer, Moved())
            times, held = books.get(payment_key(transfer), (0, 0))
            if here.debits > 1 or here.refunds > 1 or times > 1:
                wrong.append(
                    f"{transfer}: debited {here.debits}, refunded {here.refunds}, taken by the partner "
                    f"{counted(times, 'time')}"
                )
            elif here.debited - here.refunded != held or (transfer in self.paid) != (held > 0):
                out = here.debited - here.refunded
                wrong.append(f"{transfer}: {koruna(out)} went out, the partner holds {koruna(held)}")
        return wrong


async def _moved(bank: Runtime) -> dict[str, Moved]:
    """Return the log's record of each payment, by the saga that caused it."""
    found: dict[str, Moved] = {}
    end = bank.statistics().position
    async for recorded in bank.events():
        event, cause = recorded.event, recorded.metadata.cause
        if cause is not None and cause.type == _OUR_SAGA and isinstance(event, Debited | Credited):
            transfer = found.setdefault(cause.id, Moved())
            if isinstance(event, Debited):
                transfer.debits += 1
                transfer.debited += event.amount
            else:
                transfer.refunds += 1
                transfer.refunded += event.amount
        if recorded.position >= end:
            break
    return found
