"""The domain: a bank account. It does not know about HTTP."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from actorium import Aggregate, Command, Event, Rejected, create, decide, evolve

Hellers = Annotated[int, Meta(gt=0)]


class OpenAccount(Command):
    """Open an account for an owner."""

    owner: str


class Deposit(Command):
    """Deposit money."""

    amount: Hellers


class Withdraw(Command):
    """Withdraw money; there is no overdraft."""

    amount: Hellers


class AccountOpened(Event):
    """The account was opened."""

    owner: str


class Deposited(Event):
    """Money was deposited."""

    amount: int


class Withdrawn(Event):
    """Money was withdrawn."""

    amount: int


class Account(Aggregate):
    """One account; `version` counts its events, for clients that change only what they have seen."""

    owner: str = ""
    balance: int = 0
    version: int = 0

    @create
    def open(self, command: OpenAccount) -> AccountOpened:
        return AccountOpened(command.owner)

    @decide
    def deposit(self, command: Deposit) -> Deposited:
        return Deposited(command.amount)

    @decide
    def withdraw(self, command: Withdraw) -> Withdrawn:
        if command.amount > self.balance:
            raise Rejected("insufficient funds", balance=self.balance, amount=command.amount)
        return Withdrawn(command.amount)

    @evolve
    def opened(self, event: AccountOpened) -> None:
        self.owner = event.owner
        self.version += 1

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount
        self.version += 1

    @evolve
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount
        self.version += 1
