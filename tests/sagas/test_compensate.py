"""An operator has a stuck saga undo what it did."""

from typing import Any

import pytest
from support.stores import PassedThrough
from support.transfers import (
    Account,
    Deposit,
    Transfer,
    TransferRequested,
    Withdraw,
    ask,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import virtual

from actorium import Rejected, Runtime, Saga, starts, step


class Buggy(Saga):
    """Its second step raises before it sends anything."""

    source: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.source = event.source

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, 10)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, 10)

    @step
    def credit(self) -> Deposit:
        raise ZeroDivisionError("a bug")


class Pivoting(Buggy):
    """Its first step cannot be undone."""

    @step(pivot=True)
    def debit(self) -> Withdraw:
        return Withdraw(self.source, 10)


async def stuck(runtime: Runtime, saga: type[Saga]) -> str:
    await open_accounts(runtime, alice=100, bob=0)
    id = await ask(runtime)
    await saga_in(runtime, saga, id, "failed")
    return id


@virtual
async def test_a_stuck_saga_undoes_its_steps_and_keeps_the_reason() -> None:
    store = PassedThrough()
    async with runtime_of(Buggy, store=store) as runtime:
        id = await stuck(runtime, Buggy)
        assert await balances(runtime, "alice") == (90,)
        await runtime.sagas.compensate(Buggy, id, reason="the order was withdrawn")
        view = await saga_in(runtime, Buggy, id, "undone")
        assert view.reason == "the order was withdrawn"
        assert await balances(runtime, "alice") == (100,)
    async with runtime_of(Buggy, store=store, seed=1) as runtime:
        assert (await runtime.sagas.get(Buggy, id)).status == "undone"


@virtual
async def test_a_saga_past_a_step_that_cannot_be_undone_stays_stuck() -> None:
    async with runtime_of(Pivoting) as runtime:
        id = await stuck(runtime, Pivoting)
        with pytest.raises(Rejected, match="cannot be undone"):
            await runtime.sagas.compensate(Pivoting, id, reason="the order was withdrawn")
        assert (await runtime.sagas.get(Pivoting, id)).status == "failed"


@virtual
async def test_only_a_stuck_saga_that_goes_forward_can_be_told_to_compensate() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Transfer, id, "completed")
        with pytest.raises(Rejected, match="not stuck"):
            await runtime.sagas.compensate(Transfer, id, reason="a mistake")


@virtual
async def test_a_stuck_undo_is_not_compensated_again() -> None:
    class Unlucky(Buggy):
        @step
        def debit(self) -> Withdraw:
            return Withdraw(self.source, 10)

        @debit.undo
        def refund(self) -> Deposit:
            raise ZeroDivisionError("a bug")

        @step
        def credit(self) -> Deposit:
            return Deposit("bob_closed", 10)

    async with runtime_of(Unlucky) as runtime:
        await open_accounts(runtime, bob_closed=0)
        id = await stuck(runtime, Unlucky)
        with pytest.raises(Rejected, match="compensates already"):
            await runtime.sagas.compensate(Unlucky, id, reason="a mistake")


@virtual
async def test_a_stuck_step_that_may_have_happened_is_undone_too() -> None:
    class Delivery(Saga):
        source: str = ""
        fails: bool = True

        @starts
        def requested(self, event: TransferRequested) -> None:
            self.source = event.source

        @step
        def debit(self) -> list[Withdraw]:
            return [Withdraw(self.source, 10), Withdraw("bob", 1)]

        @debit.undo
        def refund(self, sent: list[Any]) -> list[Deposit]:
            return [Deposit(one.to, one.amount) for one in sent]

        @step
        def credit(self) -> Deposit:
            raise ZeroDivisionError("a bug")

    async with runtime_of(Delivery) as runtime:
        await open_accounts(runtime, alice=100, bob=5)
        id = await ask(runtime)
        await saga_in(runtime, Delivery, id, "failed")
        await runtime.sagas.compensate(Delivery, id, reason="the order was withdrawn")
        await saga_in(runtime, Delivery, id, "undone")
        assert [(await runtime.get(Account, name)).balance for name in ("alice", "bob")] == [100, 5]
