"""`Account`: the bank's only aggregate.

Amounts are whole hellers (1 koruna = 100 hellers), never floats.
"""

from __future__ import annotations

from datetime import date

from actorium import Aggregate, Command, Event, Rejected, create, decide, evolve
from actorium.corrections import correct


class OpenAccount(Command):
    """Open an account. `overdraft_limit`: how many hellers it may owe the bank; None: no limit."""

    overdraft_limit: int | None = 0


class AllowOverdraft(Command):
    """Change how many hellers an account may owe the bank; None: no limit."""

    limit: int | None


class Credit(Command):
    """Book hellers in: cash, interest, or a transfer from `counterparty_account` at `counterparty_bank`."""

    amount: int
    booked_on: date
    operation: str
    purpose: str = ""
    counterparty_bank: str = ""
    counterparty_account: str = ""


class Debit(Command):
    """Book hellers out: cash, a card payment, or a transfer to `counterparty_account` at `counterparty_bank`."""

    amount: int
    booked_on: date
    operation: str
    purpose: str = ""
    counterparty_bank: str = ""
    counterparty_account: str = ""


class AccountOpened(Event):
    """An account was opened with a balance of 0."""

    event_type = "bank.account-opened"

    overdraft_limit: int | None


class OverdraftAllowed(Event):
    """The account may owe the bank this much from now on."""

    event_type = "bank.overdraft-allowed"

    limit: int | None


class Credited(Event):
    """Hellers were booked in."""

    event_type = "bank.credited"

    amount: int
    booked_on: date
    operation: str
    purpose: str
    counterparty_bank: str
    counterparty_account: str


class Debited(Event):
    """Hellers were booked out."""

    event_type = "bank.debited"

    amount: int
    booked_on: date
    operation: str
    purpose: str
    counterparty_bank: str
    counterparty_account: str


class BookingCorrected(Event):
    """A wrong booking was corrected: it should have been more by `difference` hellers.

    `is_credit`, `booked_on` and `purpose` are those of the wrong booking. `is_void`: it should not have happened.
    """

    event_type = "bank.booking-corrected"

    difference: int
    is_credit: bool
    booked_on: date
    purpose: str
    is_void: bool


class Account(Aggregate):
    """A bank account: its balance in hellers, its overdraft limit, and its number of transactions."""

    stream_type = "bank.account"

    overdraft_limit: int | None = 0
    balance: int = 0
    transactions: int = 0

    @create
    def open(self, command: OpenAccount) -> AccountOpened:
        _check_limit(command.overdraft_limit)
        return AccountOpened(command.overdraft_limit)

    @decide
    def allow_overdraft(self, command: AllowOverdraft) -> OverdraftAllowed | None:
        _check_limit(command.limit)
        if command.limit == self.overdraft_limit:
            return None
        return OverdraftAllowed(command.limit)

    @decide
    def credit(self, command: Credit) -> Credited:
        _check_amount(command.amount)
        return Credited(
            command.amount,
            command.booked_on,
            command.operation,
            command.purpose,
            command.counterparty_bank,
            command.counterparty_account,
        )

    @decide
    def debit(self, command: Debit) -> Debited:
        _check_amount(command.amount)
        if self.overdraft_limit is not None and self.balance - command.amount < -self.overdraft_limit:
            raise Rejected("insufficient funds", balance=self.balance, overdraft_limit=self.overdraft_limit)
        return Debited(
            command.amount,
            command.booked_on,
            command.operation,
            command.purpose,
            command.counterparty_bank,
            command.counterparty_account,
        )

    @correct
    def correct_booking(self, wrong: Credited | Debited, right: Credited | Debited | None) -> BookingCorrected | None:
        difference = (0 if right is None else right.amount) - wrong.amount
        if not difference:
            return None
        return BookingCorrected(difference, isinstance(wrong, Credited), wrong.booked_on, wrong.purpose, right is None)

    @evolve
    def opened(self, event: AccountOpened) -> None:
        self.overdraft_limit = event.overdraft_limit

    @evolve
    def overdraft_allowed(self, event: OverdraftAllowed) -> None:
        self.overdraft_limit = event.limit

    @evolve
    def credited(self, event: Credited) -> None:
        self.balance += event.amount
        self.transactions += 1

    @evolve
    def debited(self, event: Debited) -> None:
        self.balance -= event.amount
        self.transactions += 1

    @evolve
    def booking_corrected(self, event: BookingCorrected) -> None:
        self.balance += event.difference if event.is_credit else -event.difference
        self.transactions -= event.is_void


def _check_amount(amount: int) -> None:
    if amount <= 0:
        raise Rejected("an amount must be more than 0 hellers", amount=amount)


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 0:
        raise Rejected("an overdraft limit must be 0 hellers or more", limit=limit)
