"""A step and an undo only read the saga's fields; a change fails the saga, because nothing would record it."""

from support.transfers import Deposit, Transfer, Withdraw, ask, balances, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import step


class Forgetful(Transfer):
    """Its second step writes down what the first one was for."""

    notes: list[str] = []

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        self.notes.append("credited")
        self.amount += 1
        return Deposit(self.target, self.amount)


class Careless(Transfer):
    """Its undo changes the amount."""

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        self.amount *= 2
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)


@virtual
async def test_a_step_that_changes_fields_leaves_its_saga_failed_and_sends_nothing() -> None:
    async with runtime_of(Forgetful) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        saga = await saga_in(runtime, Forgetful, await ask(runtime), "failed")
        assert "Forgetful.credit raised TypeError: it changed amount, notes" in saga.reason
        assert (saga.state["amount"], saga.state["notes"]) == (10, [])
        assert await balances(runtime, "alice", "bob") == (90, 0)


@virtual
async def test_an_undo_that_changes_fields_leaves_its_saga_failed_too() -> None:
    async with runtime_of(Careless) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0)
        saga = await saga_in(runtime, Careless, await ask(runtime, target="bob_closed"), "failed")
        assert "Careless.refund raised TypeError: it changed amount" in saga.reason
        assert await balances(runtime, "alice") == (90,)
