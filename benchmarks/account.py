"""The workload of every benchmark: one deposit to an account, one event of the same size as the peers write."""

from __future__ import annotations

from actorium import Aggregate, Command, Event, Rejected, decide, evolve


class Deposit(Command):
    """Pay in."""

    amount: int


class Deposited(Event):
    """An amount was deposited; the constant fields make the event as large as a real one."""

    account: str
    amount: int
    currency: str = "EUR"
    reference: str = "ref-000000000000000000000000000000000000"
    note: str = "monthly transfer"


class Account(Aggregate):
    """The balance of one account."""

    balance: int = 0

    @decide
    def deposit(self, command: Deposit) -> Deposited:
        if command.amount <= 0:
            raise Rejected("amount must be above 0", amount=command.amount)
        return Deposited(self.id, command.amount)

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount
