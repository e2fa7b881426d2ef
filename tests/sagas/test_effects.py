"""Async steps: external effects with a key, retries and a deadline; the result is recorded before the next step."""

import asyncio

from support.stores import PassedThrough
from support.transfers import (
    Ask,
    Deposit,
    Tell,
    Told,
    TransferRequested,
    Withdraw,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import virtual

from actorium import IdempotencyKey, Rejected, Retry, Saga, on, starts, step


class Partner:
    """A bank outside: it may fail, refuse, or take its time; it knows a payment again by its key."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.paid: dict[str, str] = {}
        self.failures = 0
        self.refuses = ""
        self.takes_s = 0.0

    async def pay(self, key: str) -> str:
        self.calls.append(key)
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if self.refuses:
            raise Rejected(self.refuses, code=7)
        receipt = self.paid.setdefault(key, f"receipt {len(self.paid) + 1}")
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the line is cut")
        return receipt


partner = Partner()


class Payment(Saga):
    receipt: str = ""
    heard: int = 0

    @starts(correlate="about")
    def begins(self, event: Told) -> None: ...

    @on(correlate="source")
    def hears(self, event: TransferRequested) -> None:
        self.heard += 1

    @step
    def debit(self) -> Withdraw:
        return Withdraw("alice", 10)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit("alice", 10)

    @step(timeout_s=60, retry=Retry(attempts=3, backoff_s=1.0))
    async def pay(self, key: IdempotencyKey) -> None:
        self.receipt = await partner.pay(key)

    @pay.undo
    def claim_back(self) -> Deposit:
        return Deposit("claims", 10)

    @step
    def book(self) -> Deposit:
        assert self.receipt
        return Deposit("book", 10)


def new_partner() -> Partner:
    global partner
    partner = Partner()
    return partner


@virtual
async def test_the_result_is_recorded_before_the_next_step() -> None:
    bank = new_partner()
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        saga = await saga_in(runtime, Payment, "p1", "completed")
        assert saga.state == {"receipt": "receipt 1", "heard": 0}
        assert bank.calls == ["Payment/p1/pay/0"]


@virtual
async def test_a_failed_effect_is_retried_with_the_same_key() -> None:
    bank = new_partner()
    bank.failures = 2
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        saga = await saga_in(runtime, Payment, "p1", "completed")
        assert bank.calls == ["Payment/p1/pay/0"] * 3
        assert saga.state["receipt"] == "receipt 1"


@virtual
async def test_a_rejection_is_final_and_the_effect_is_not_undone() -> None:
    bank = new_partner()
    bank.refuses = "unknown account"
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        saga = await saga_in(runtime, Payment, "p1", "undone")
        assert (saga.reason, len(bank.calls)) == ("unknown account", 1)
        assert await balances(runtime, "alice", "claims") == (10, 0)


@virtual
async def test_an_effect_whose_attempts_all_failed_is_undone_because_it_may_have_happened() -> None:
    bank = new_partner()
    bank.failures = 99
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        saga = await saga_in(runtime, Payment, "p1", "undone")
        assert saga.reason == "ConnectionError: the line is cut"
        assert await balances(runtime, "alice", "claims") == (10, 10)


@virtual
async def test_a_deadline_ends_an_effect_that_hangs() -> None:
    bank = new_partner()
    bank.takes_s = 1e6
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        saga = await saga_in(runtime, Payment, "p1", "undone")
        assert saga.reason == "pay did not finish within 60 s"
        assert await balances(runtime, "alice", "claims") == (10, 10)


@virtual
async def test_an_interrupted_effect_is_called_again_by_the_next_run_with_the_same_key() -> None:
    bank = new_partner()
    bank.takes_s = 1e6
    store = PassedThrough()
    async with runtime_of(Payment, store=store) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        await saga_in(runtime, Payment, "p1", reached="pay: external effect")
    bank.takes_s = 0.0
    async with runtime_of(Payment, store=store, seed=1) as runtime:
        await saga_in(runtime, Payment, "p1", "completed")
        assert bank.calls == ["Payment/p1/pay/0"] * 2
        assert bank.paid == {"Payment/p1/pay/0": "receipt 1"}


@virtual
async def test_changes_by_a_handler_during_an_effect_are_kept() -> None:
    bank = new_partner()
    bank.takes_s = 30.0
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=10, book=0, claims=0)
        await runtime.send(Tell("news", "p1"))
        await saga_in(runtime, Payment, "p1", reached="pay: external effect")
        await runtime.send(Ask("news", "p1", ""))
        saga = await saga_in(runtime, Payment, "p1", "completed")
        assert saga.state == {"receipt": "receipt 1", "heard": 1}


@virtual
async def test_a_reset_of_the_agenda_calls_no_effect_again() -> None:
    bank = new_partner()
    async with runtime_of(Payment) as runtime:
        await open_accounts(runtime, alice=30, book=0, claims=0)
        for number in range(3):
            await runtime.send(Tell("news", f"p{number}"))
            await saga_in(runtime, Payment, f"p{number}", "completed")
        for processor in runtime.processors.values():
            await processor.reset()
        await asyncio.sleep(600)
        assert len(bank.calls) == 3
        assert [(one.id, one.status) async for one in runtime.sagas.list()] == [
            (f"p{n}", "completed") for n in range(3)
        ]
        await runtime.send(Tell("news", "p9"))
        await saga_in(runtime, Payment, "p9", "undone", "completed")


@virtual
async def test_an_effect_may_end_its_saga() -> None:
    class Check(Saga):
        @starts(correlate="about")
        def begins(self, event: Told) -> None: ...

        @step(undo=None)
        async def look(self) -> None:
            if self.id == "good":
                self.complete()
            else:
                self.fail("it looks bad")

        @step
        def never(self) -> Deposit:
            return Deposit("book", 1)

    async with runtime_of(Check) as runtime:
        await open_accounts(runtime, book=0)
        await runtime.send(Tell("news", "good"))
        await runtime.send(Tell("news", "bad"))
        await saga_in(runtime, Check, "good", "completed")
        assert (await saga_in(runtime, Check, "bad", "failed")).reason == "it looks bad"
        assert await balances(runtime, "book") == (0,)
