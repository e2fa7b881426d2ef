"""Waiting steps: timeouts that find out which commands took effect, and events that end a step."""

import asyncio

import pytest
from support.stores import Fault, FaultyStore, GatedStore, PassedThrough, append
from support.transfers import (
    Ask,
    Deposit,
    Deposited,
    Tell,
    Told,
    Transfer,
    TransferRequested,
    Withdraw,
    ask,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
    texts,
)
from support.virtual_time import VirtualLoop, virtual

from actorium import Ack, CommandContext, Next, Retry, Saga, Settings, on, starts, step

DAY_S = 86_400.0


class Waiter(Transfer):
    """Takes money, then waits for a word about itself."""

    heard: str = ""

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step(timeout_s=30 * DAY_S, until=Told, correlate="about")
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)

    @credit.undo
    def take_back(self) -> Withdraw:
        return Withdraw(self.target, self.amount)

    @on(correlate="about")
    def told(self, event: Told) -> None:
        self.heard += event.word


@pytest.mark.about("memory", "it counts the steps of the loop, and a server's answers are steps too")
@virtual
async def test_thirty_days_pass_in_few_steps_and_the_effects_are_undone() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    began = loop.clock.steps
    async with runtime_of(Waiter) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Waiter, id, reached="credit: command 0 done")
        await asyncio.sleep(29.9 * DAY_S)
        assert (await runtime.sagas.get(Waiter, id)).status == "running"
        await asyncio.sleep(0.2 * DAY_S)
        saga = await runtime.sagas.get(Waiter, id)
        assert (saga.status, saga.reason) == ("undone", "credit did not finish within 2592000 s")
        assert (saga.history[-1].at - saga.history[0].at).days == 30
        assert await balances(runtime, "alice", "bob") == (100, 0)
    assert loop.clock.steps - began < 10_000, "something looks more often than it has to"


@virtual
async def test_a_step_ends_with_its_event_and_the_handler_sees_it_first() -> None:
    async with runtime_of(Waiter) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Waiter, id, reached="credit: command 0 done")
        await runtime.send(Tell("news", "somebody else", "no"))
        await runtime.send(Tell("news", id, "yes"))
        saga = await saga_in(runtime, Waiter, id, "completed")
        assert saga.state["heard"] == "yes"


@virtual
async def test_an_event_before_the_acknowledgement_counts() -> None:
    store = GatedStore()
    async with runtime_of(Waiter, store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Waiter, id, reached="credit: sends")
        await runtime.send(Tell("news", id, "yes"))
        await saga_in(runtime, Waiter, id, "completed")


@virtual
async def test_an_event_that_arrives_before_its_step_is_remembered() -> None:
    class Slow(Waiter):
        @step(
            undo=None, timeout_s=10, until=Deposited, correlate=lambda recorded: recorded.stream_id.removeprefix("go ")
        )
        def debit(self) -> None:
            return None

    async with runtime_of(Slow) as runtime:
        await open_accounts(runtime, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Slow, id, reached="debit: waits for its event")
        await runtime.send(Tell("news", id, "early"))
        await saga_in(runtime, Slow, id, reached="credit: Told at Desk<news> version 1 arrived")
        await open_accounts(runtime, **{f"go {id}": 0})
        await runtime.send(Deposit(f"go {id}", 1))
        saga = await saga_in(runtime, Slow, id, "completed")
        assert saga.state["heard"] == "early"
        assert await balances(runtime, "bob") == (10,)


@virtual
async def test_an_event_of_the_steps_own_command_needs_no_correlation() -> None:
    class Own(Transfer):
        @step
        def debit(self) -> Withdraw:
            return Withdraw(self.source, self.amount)

        @debit.undo
        def refund(self) -> Deposit:
            return Deposit(self.source, self.amount)

        @step(until=Deposited, timeout_s=5)
        def credit(self) -> Deposit:
            return Deposit(self.target, self.amount)

    async with runtime_of(Own, Transfer) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        ids = [await ask(runtime) for _ in range(5)]
        for id in ids:
            await saga_in(runtime, Own, id, "completed")
            await saga_in(runtime, Transfer, id, "completed")
        assert await balances(runtime, "alice", "bob") == (0, 100)


class Hurried(Transfer):
    @step(timeout_s=2)
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)


@virtual
async def test_a_command_that_is_late_but_took_effect_is_undone() -> None:
    store = GatedStore()
    async with runtime_of(Hurried, store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Hurried, id, reached="debit: sends")
        store.shut()
        await asyncio.sleep(5)  # its commit hangs
        store.let_through()
        saga = await saga_in(runtime, Hurried, id, "undone", "completed")
        assert await balances(runtime, "alice", "bob") in ((100, 0), (90, 10))
        assert len([text for text in await texts(runtime, Hurried, id) if "sends Withdraw" in text]) == 1
        if saga.status == "undone":
            assert saga.reason == "debit did not finish within 2 s"
            assert "debit:undo: done" in [line.text for line in saga.history]


@virtual
async def test_a_command_that_never_left_is_not_undone_and_never_sent_afterwards() -> None:
    held = asyncio.Event()

    async def hold_back(context: CommandContext, call: Next) -> Ack:
        if type(context.command) is Withdraw:
            await held.wait()
        return await call(context)

    async with runtime_of(Hurried, middleware=[hold_back]) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        saga = await saga_in(runtime, Hurried, id, "undone")
        assert not any("undo" in line.text and "undone" not in line.text for line in saga.history)
        held.set()
        await asyncio.sleep(60)
        assert await balances(runtime, "alice", "bob") == (100, 0)


@virtual
async def test_a_queued_command_whose_deadline_passes_is_never_sent() -> None:
    held = asyncio.Event()

    class Blocking(Saga):
        @starts
        def asked(self, event: Told) -> None: ...

        @step
        async def wait(self) -> None:
            await held.wait()

    settings = Settings(max_running_intents=1, poll_s=1.0)
    async with runtime_of(Hurried, Blocking, settings=settings) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await runtime.send(Tell("news", "block"))
        await saga_in(runtime, Blocking, "Desk/news/1", reached="wait: external effect")
        ids = [await ask(runtime) for _ in range(3)]
        await asyncio.sleep(10)  # all three deadlines pass while they stand in line
        held.set()
        for id in ids:
            saga = await saga_in(runtime, Hurried, id, "undone")
            assert saga.reason == "debit did not finish within 2 s"
        await asyncio.sleep(60)
        assert await balances(runtime, "alice", "bob") == (100, 0)


@virtual
async def test_a_deadline_survives_a_restart() -> None:
    store = PassedThrough()
    async with runtime_of(Waiter, store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Waiter, id, reached="credit: command 0 done")
    await asyncio.sleep(40 * DAY_S)
    async with runtime_of(Waiter, store=store, seed=1) as runtime:
        await saga_in(runtime, Waiter, id, "undone", within_s=2.0)
        assert await balances(runtime, "alice", "bob") == (100, 0)


@virtual
async def test_an_event_recorded_while_the_saga_did_not_run_is_found() -> None:
    store = PassedThrough()
    async with runtime_of(Waiter, store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        id = await ask(runtime)
        await saga_in(runtime, Waiter, id, reached="credit: command 0 done")
    await store.open()
    await append(store, ("Desk", "news"), 0, Told(id, "by another way"))
    await store.close()
    async with runtime_of(Waiter, store=store, seed=1) as runtime:
        await saga_in(runtime, Waiter, id, "completed", within_s=2.0)


@virtual
async def test_lost_replies_are_requested_again() -> None:
    store = FaultyStore()
    async with runtime_of(Transfer, store=store, settings=Settings(poll_s=1.0)) as runtime:
        await open_accounts(runtime, alice=1_000, bob=0)
        turn = 0

        def every_third() -> Fault:
            nonlocal turn
            turn += 1
            return "none" if turn >= 60 or turn % 3 == 1 else "before" if turn % 3 == 2 else "after"

        await runtime.send(Ask("desk", "alice", "bob", 10))
        store.next_fault = every_third
        saga = await saga_in(runtime, Transfer, "Desk/desk/1", "completed", "undone")
        store.next_fault = lambda: "none"
        assert await balances(runtime, "alice", "bob") == ((990, 10) if saga.status == "completed" else (1_000, 0))


def test_the_retry_of_a_step_is_its_own() -> None:
    assert Hurried.__definition__.steps["credit"].retry == Retry(attempts=5, backoff_s=0.2, backoff_max_s=30.0)


def test_a_transfer_is_started_by_a_request() -> None:
    assert Hurried.__definition__.event_classes == {TransferRequested}
