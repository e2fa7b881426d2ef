"""The bank of `correcting` with changes that a deployment should notice, and one that it should not."""

from __future__ import annotations

import os
from datetime import date
from typing import Any

from support.correcting import PARTS, Booked, Bookings

from actorium import (
    Aggregate,
    Event,
    RecordedEvent,
    Runtime,
    Saga,
    Transaction,
    create,
    decide,
    evolve,
    on,
    starts,
    step,
)
from actorium.examples.bank.domain import Account, AccountOpened, Credit, Credited, Debit, Debited, OpenAccount
from actorium.examples.bank.transfers import ReturnTransfer, SettleTransfer, Transfer, TransferOrdered, _if_ours


def _with(**changed: Any) -> Runtime:
    """Return the bank with other classes for some parts."""
    parts = [changed.get(part.__name__, part) for part in PARTS]
    return Runtime(parts, store=os.environ.get("BANK_LOG", "memory://"))


class RoundingAccount(Account):
    """Rounds what is booked in to ten hellers."""

    stream_type = "bank.account"

    @evolve
    def credited(self, event: Credited) -> None:
        self.balance += event.amount // 10 * 10
        self.transactions += 1


class GenerousAccount(Account):
    """Does not check that an amount is positive."""

    stream_type = "bank.account"

    @decide
    def credit(self, command: Credit) -> Credited:
        return Credited(command.amount, command.booked_on, command.operation, command.purpose, "", "")


class Paid(Event):
    """`Debited` with another name for its amount, and no upcaster."""

    event_type = "bank.debited"

    value: int
    operation: str


class RenamingAccount(Aggregate):
    """Reads the amount of a debit under another name."""

    stream_type = "bank.account"

    balance: int = 0

    @create
    def open(self, command: OpenAccount) -> AccountOpened:
        return AccountOpened(command.overdraft_limit)

    @decide
    def credit(self, command: Credit) -> Credited:
        return Account.credit(self, command)  # type: ignore[arg-type]

    @decide
    def debit(self, command: Debit) -> Paid:
        return Paid(command.amount, command.operation)

    @evolve
    def opened(self, event: AccountOpened) -> None:
        pass

    @evolve
    def credited(self, event: Credited) -> None:
        self.balance += event.amount

    @evolve
    def paid(self, event: Paid) -> None:
        self.balance -= event.value


class EagerTransfer(Saga):
    """Pays out before it has the money."""

    saga_type = "bank.internal-transfer"

    source: str = ""
    target: str = ""
    amount: int = 0
    bank: str = ""
    purpose: str = ""
    ordered_on: date = date.min

    @starts(correlate=_if_ours)
    def ordered(self, event: TransferOrdered) -> None:
        self.source, self.target, self.amount = event.source, event.target, event.amount
        self.bank, self.purpose, self.ordered_on = event.bank, event.purpose, event.ordered_on

    @step
    def accept(self) -> None:
        pass

    @accept.undo
    def give_back(self) -> ReturnTransfer:
        return ReturnTransfer(self.id, self.reason)

    @step(undo=None)
    def credit(self) -> Credit:
        return Credit(self.target, self.amount, self.ordered_on, "transfer_in", self.purpose, "", self.source)

    @step(pivot=True, undo=None)
    def debit(self) -> Debit:
        return Debit(self.source, self.amount, self.ordered_on, "transfer_out", self.purpose, self.bank, self.target)

    @step
    def settle(self) -> SettleTransfer:
        return SettleTransfer(self.id)


class ForgetfulBookings(Bookings):
    """Counts only what is booked in."""

    projection_name = "Bookings"

    @on
    def debited(self, event: Debited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.add(Booked(recorded.stream_id, 0, -event.amount))


class TidyAccount(Account):
    """The same account, written in another way."""

    stream_type = "bank.account"

    @decide
    def credit(self, command: Credit) -> Credited:
        return super().credit(command)

    @evolve
    def credited(self, event: Credited) -> None:
        self._book(event.amount)

    @evolve
    def debited(self, event: Debited) -> None:
        self._book(-event.amount)

    def _book(self, amount: int) -> None:
        self.transactions, self.balance = self.transactions + 1, self.balance + amount


class TidyTransfer(Transfer):
    """The same transfer, written in another way."""

    saga_type = "bank.internal-transfer"

    @step(pivot=True, undo=None)
    def credit(self) -> Credit:
        return Credit(
            to=self.target,
            amount=self.amount,
            booked_on=self.ordered_on,
            operation="transfer_in",
            purpose=self.purpose,
            counterparty_account=self.source,
        )


def rounding() -> Runtime:
    return _with(Account=RoundingAccount)


def dropped_validation() -> Runtime:
    return _with(Account=GenerousAccount)


def renamed_field() -> Runtime:
    parts = [RenamingAccount, *(part for part in PARTS if part.__name__ in ("TransferOrder", "Transfer"))]
    return Runtime(parts, store="memory://")


def reordered_step() -> Runtime:
    return _with(Transfer=EagerTransfer)


def projection_bug() -> Runtime:
    return _with(Bookings=ForgetfulBookings)


def refactored() -> Runtime:
    return _with(Account=TidyAccount, Transfer=TidyTransfer)
