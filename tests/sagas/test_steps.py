"""Sagas with steps: order, undo in reverse, retries, the pivot, and operators' actions on a stuck saga."""

import pytest
from support.stores import Fault, FaultyStore
from support.transfers import (
    Account,
    Ask,
    Deposit,
    Transfer,
    TransferRequested,
    Unlock,
    Withdraw,
    ask,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
    texts,
)
from support.virtual_time import settled, virtual

from actorium import Rejected, Retry, Saga, starts, step
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import AppendBatch

QUICK = Retry(attempts=3, backoff_s=1.0, backoff_max_s=2.0)


class Relay(Saga):
    """Three steps, each with its undo."""

    source: str = ""
    target: str = ""
    amount: int = 0

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.source, self.target, self.amount = event.source, event.target, event.amount

    @step
    def first(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @first.undo
    def undo_first(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def nothing(self) -> None:
        return None

    @nothing.undo
    def undo_nothing(self) -> None:
        return None

    @step
    def second(self) -> list[Withdraw]:
        return [Withdraw("relay", 1)]

    @second.undo
    def undo_second(self) -> list[Deposit]:
        return [Deposit("relay", 1), Deposit("notes", len(self.reason))]

    @step(undo=None)
    def unneeded(self) -> Withdraw:
        return Withdraw("relay", 1)

    @step
    def last(self) -> Deposit:
        return Deposit(self.target, self.amount)


@virtual
async def test_steps_run_in_order_and_complete() -> None:
    async with runtime_of(Relay) as runtime:
        await open_accounts(runtime, alice=100, bob=0, relay=10, notes=0)
        saga = await saga_in(runtime, Relay, await ask(runtime), "completed")
        assert await balances(runtime, "alice", "relay", "bob", "notes") == (90, 8, 10, 0)
        assert saga.state == {"source": "alice", "target": "bob", "amount": 10}
        assert [line.text for line in saga.history] == [
            "started because of TransferRequested at Desk<desk> version 1",
            "first: sends Withdraw to 'alice'",
            "first: done",
            "nothing: done",
            "second: sends Withdraw to 'relay'",
            "second: done",
            "unneeded: sends Withdraw to 'relay'",
            "unneeded: done",
            "last: sends Deposit to 'bob'",
            "last: done",
            "completed",
        ]


@virtual
async def test_a_rejection_undoes_finished_steps_in_reverse_and_tells_the_undos_why() -> None:
    async with runtime_of(Relay) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0, relay=10, notes=0)
        saga = await saga_in(runtime, Relay, await ask(runtime, target="bob_closed"), "undone")
        assert saga.reason == "account closed"
        assert await balances(runtime, "alice", "relay", "notes") == (100, 9, len("account closed"))
        assert [line.text for line in saga.history][-8:] == [
            "last: failed: account closed",
            "second:undo: sends Deposit to 'relay', Deposit to 'notes'",
            "second:undo: command 0 done",
            "second:undo: done",
            "nothing:undo: done",
            "first:undo: sends Deposit to 'alice'",
            "first:undo: done",
            "undone: account closed",
        ]


@virtual
async def test_a_rejected_first_step_has_nothing_to_undo_and_its_details_are_kept() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=5, bob=0)
        saga = await saga_in(runtime, Transfer, await ask(runtime), "undone")
        assert saga.reason == "insufficient funds"
        (failed,) = [line.event for line in saga.history if "failed" in line.text]
        assert getattr(failed, "details") == {"balance": 5}  # noqa: B009
        assert await balances(runtime, "alice", "bob") == (5, 0)


@virtual
async def test_an_unavailable_store_uses_up_no_attempt_of_a_step() -> None:
    class Patient(Saga):
        @starts
        def asked(self, event: TransferRequested) -> None: ...

        @step(retry=Retry(attempts=1))
        def pay(self) -> Deposit:
            return Deposit("bob", 1)

    store, failures = FaultyStore(), 0

    def fault() -> Fault:
        nonlocal failures
        appends = store.last.appends if isinstance(store.last, AppendBatch) else ()
        if failures == 5 or not any(append.stream.id == "bob" for append in appends):
            return "none"
        failures += 1
        return "before"

    async with runtime_of(Patient, store=store) as runtime:
        await open_accounts(runtime, bob=0)
        store.next_fault = fault
        saga = await saga_in(runtime, Patient, await ask(runtime), "completed")
        assert (failures, await balances(runtime, "bob")) == (5, (1,))
        assert (saga.history[-1].at - saga.history[0].at).total_seconds() <= 2


@virtual
async def test_a_failing_command_is_retried_with_a_capped_backoff() -> None:
    class Patient(Saga):
        @starts
        def asked(self, event: TransferRequested) -> None: ...

        @step(retry=Retry(attempts=6, backoff_s=1.0, backoff_max_s=4.0))
        def pay(self) -> Deposit:
            return Deposit("bob", "much")  # type: ignore[arg-type]

    async with runtime_of(Patient) as runtime:
        await open_accounts(runtime, bob=0)
        saga = await saga_in(runtime, Patient, await ask(runtime), "undone")
        # 1 + 2 + 4 + 4 + 4 s, each with up to a quarter more.
        assert 15 <= (saga.history[-1].at - saga.history[0].at).total_seconds() <= 19


@virtual
async def test_a_step_that_fails_at_every_attempt_makes_the_saga_compensate() -> None:
    class Clumsy(Saga):
        @starts
        def asked(self, event: TransferRequested) -> None: ...

        @step(retry=QUICK)
        def pay(self) -> Deposit:
            return Deposit("bob", "much")  # type: ignore[arg-type]

    async with runtime_of(Clumsy) as runtime:
        await open_accounts(runtime, bob=0)
        saga = await saga_in(runtime, Clumsy, await ask(runtime), "undone")
        assert "Expected `int`, got `str`" in saga.reason
        assert 3 <= (saga.history[-1].at - saga.history[0].at).total_seconds() <= 4


class Fragile(Transfer):
    """Its undo is refused as long as alice takes no deposits."""

    @step(retry=QUICK)
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)


@virtual
async def test_a_failing_undo_leaves_the_saga_stuck_until_it_is_retried() -> None:
    async with runtime_of(Fragile) as runtime:
        await open_accounts(runtime, alice_closed=100, bob_closed=0)
        id = await ask(runtime, "alice_closed", "bob_closed")
        saga = await saga_in(runtime, Fragile, id, "failed")
        assert (saga.step, saga.reason) == ("debit:undo", "account closed")
        (listed,) = [one async for one in runtime.sagas.list(status="failed")]
        assert (listed.type, listed.id, listed.step, listed.reason) == ("Fragile", id, "debit:undo", "account closed")
        await runtime.send(Unlock("alice_closed"))
        await runtime.sagas.retry(Fragile, id, reason="the account is open again")
        saga = await saga_in(runtime, Fragile, id, "undone")
        assert await balances(runtime, "alice_closed") == (100,)
        assert "retry of debit:undo by an operator: the account is open again" in [line.text for line in saga.history]
        assert [one async for one in runtime.sagas.list(status="failed")] == []


@virtual
async def test_an_operator_may_skip_an_undo_or_complete_a_saga() -> None:
    async with runtime_of(Fragile) as runtime:
        await open_accounts(runtime, alice_closed=100, bob_closed=0)
        first, second = [await ask(runtime, "alice_closed", "bob_closed") for _ in range(2)]
        await saga_in(runtime, Fragile, first, "failed")
        await saga_in(runtime, Fragile, second, "failed")
        await runtime.sagas.skip(Fragile, first, reason="paid back in cash")
        await runtime.sagas.complete(Fragile, second, reason="written off")
        assert (await saga_in(runtime, Fragile, first, "undone")).reason == "account closed"
        assert (await saga_in(runtime, Fragile, second, "completed")).reason == ""
        assert await balances(runtime, "alice_closed") == (80,)
        with pytest.raises(Rejected, match="is not stuck"):
            await runtime.sagas.retry(Fragile, first, reason="once more")
        with pytest.raises(InvalidCommand, match="needs a reason"):
            await runtime.sagas.skip(Fragile, first, reason=" ")


class Shipment(Saga):
    """After the pivot it only goes forward."""

    source: str = ""
    target: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.source, self.target = event.source, event.target

    @step(undo=None)
    def prepare(self) -> Withdraw:
        return Withdraw(self.source, 1)

    @step(pivot=True)
    def pay(self) -> Withdraw:
        return Withdraw(self.source, 1)

    @step(retry=QUICK)
    def ship(self) -> Deposit:
        return Deposit(self.target, 1)

    @step
    def book(self) -> Deposit:
        return Deposit("book", 1)


@virtual
async def test_after_the_pivot_a_rejected_step_is_retried_and_then_stuck() -> None:
    async with runtime_of(Shipment) as runtime:
        await open_accounts(runtime, alice=2, bob_closed=0, book=0)
        id = await ask(runtime, target="bob_closed")
        saga = await saga_in(runtime, Shipment, id, "failed")
        assert (saga.step, saga.reason) == ("ship", "account closed")
        assert (saga.history[-1].at - saga.history[0].at).total_seconds() >= 3
        await runtime.send(Unlock("bob_closed"))
        await runtime.sagas.retry(Shipment, id, reason="open again")
        await saga_in(runtime, Shipment, id, "completed")
        assert await balances(runtime, "alice", "bob_closed", "book") == (0, 1, 1)


@virtual
async def test_after_the_pivot_a_rejected_step_may_succeed_on_a_retry() -> None:
    async with runtime_of(Shipment) as runtime:
        await open_accounts(runtime, alice=2, bob_closed=0, book=0)
        id = await ask(runtime, target="bob_closed")
        await saga_in(runtime, Shipment, id, reached="ship: sends")
        await runtime.send(Unlock("bob_closed"))
        await saga_in(runtime, Shipment, id, "completed")


@virtual
async def test_before_and_at_the_pivot_a_saga_compensates() -> None:
    async with runtime_of(Shipment) as runtime:
        await open_accounts(runtime, alice=1, bob=0, book=0)
        saga = await saga_in(runtime, Shipment, await ask(runtime), "undone")
        assert saga.reason == "insufficient funds"


is_mended = False


class Buggy(Transfer):
    """Its second step's method raises until it is mended."""

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        if not is_mended:
            raise ZeroDivisionError("a bug")
        return Deposit(self.target, self.amount)


@virtual
async def test_a_bug_in_a_later_step_leaves_the_saga_failed_there_and_nothing_is_sent_twice() -> None:
    global is_mended
    is_mended = False
    async with runtime_of(Buggy, Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        saga = await saga_in(runtime, Buggy, id, "failed")
        assert (saga.step, saga.reason) == ("credit", "Buggy.credit raised ZeroDivisionError: a bug")
        await saga_in(runtime, Transfer, id, "completed")  # nobody else is touched
        before = await texts(runtime, Buggy, id)
        is_mended = True
        await runtime.sagas.retry(Buggy, id, reason="mended")
        await saga_in(runtime, Buggy, id, "completed")
        assert await balances(runtime, "alice", "bob") == (80, 20)
        assert (await texts(runtime, Buggy, id))[len(before) :] == [
            "retry of credit by an operator: mended",
            "credit: sends Deposit to 'bob'",
            "credit: done",
            "completed",
        ]


@virtual
async def test_a_step_with_a_bug_may_be_skipped_and_one_in_an_undo_too() -> None:
    class Worse(Transfer):
        @step
        def debit(self) -> Withdraw:
            return Withdraw(self.source, self.amount)

        @debit.undo
        def refund(self) -> Deposit:
            raise ZeroDivisionError("a bug")

        @step
        def credit(self) -> Deposit:
            return Deposit(self.target, self.amount)

    global is_mended
    is_mended = False
    async with runtime_of(Buggy, Worse) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0)
        id = await ask(runtime, target="bob_closed")
        await saga_in(runtime, Buggy, id, "failed")
        await runtime.sagas.skip(Buggy, id, reason="done on paper")
        await saga_in(runtime, Buggy, id, "completed")
        saga = await saga_in(runtime, Worse, id, "failed")
        assert saga.step == "debit:undo"
        assert "refund raised ZeroDivisionError" in saga.reason
        await runtime.sagas.skip(Worse, id, reason="paid back in cash")
        saga = await saga_in(runtime, Worse, id, "undone")
        assert saga.reason == "account closed"


@virtual
async def test_a_saga_sends_with_the_flow_of_what_started_it_and_names_itself_as_the_cause() -> None:
    async with runtime_of(Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await runtime.send(Ask("desk", "alice", "bob", 1), correlation_id="flow-1")
        await saga_in(runtime, Transfer, "Desk/desk/1", "completed")
        changes = [change async for change in runtime.history(Account, "bob")]
        metadata = changes[-1].metadata
        assert (metadata.correlation_id, metadata.causation_id) == ("flow-1", "Transfer/Desk/desk/1/3")
        assert metadata.command_id == "~Transfer/Desk/desk/1/credit/0"


@virtual
async def test_ids_with_odd_characters_do_not_confuse_sagas() -> None:
    names = ["a/b", "a<b>", "desk@1", "Desk/desk/1", "ž/🜚 x", "debit/0", "a.0"]
    async with runtime_of(Transfer) as runtime:
        for name in names:
            await open_accounts(runtime, **{name: 10})
        for desk in names:
            for name in names:
                await runtime.send(Ask(desk, name, names[0], 1))
        await settled()
        for desk in names:
            for version in range(1, len(names) + 1):
                await saga_in(runtime, Transfer, f"Desk/{desk}/{version}", "completed")
        assert sum(await balances(runtime, *names)) == 10 * len(names)
