"""A command that did not take effect is recorded under its own id, so a copy that arrives later has no effect."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.transfers import (
    Deposit,
    Open,
    Tell,
    Told,
    TransferRequested,
    Unlock,
    Withdraw,
    ask,
    balances,
    open_accounts,
    runtime_of,
    saga_in,
)
from support.virtual_time import settled, virtual

from actorium import Ack, Command, CommandContext, Next, NotFound, Retry, Saga, starts, step
from actorium.errors import CommandConflict, CommandTimeout


class Travel:
    """Middleware that stops the commands it is told to stop, as if they travelled; `arrive` lets them arrive."""

    def __init__(self, *to: str) -> None:
        self.to = to
        self.stopped: list[Callable[[], Any]] = []

    async def __call__(self, context: CommandContext, following: Next) -> Ack:
        if context.command.to not in self.to or isinstance(context.command, Open):
            return await following(context)
        self.stopped.append(lambda: following(context))
        await asyncio.sleep(2)
        raise CommandTimeout("no reply came", command_id=context.command_id)

    async def arrive(self) -> list[str]:
        """Let every stopped command arrive; return their outcomes."""
        self.to = ()
        arrived = await asyncio.gather(*[one() for one in self.stopped], return_exceptions=True)
        return [type(one).__name__ if isinstance(one, BaseException) else "done" for one in arrived]


class Slow(Saga):
    """A payment that must be done within five seconds."""

    @starts
    def requested(self, event: TransferRequested) -> None: ...

    @step(timeout_s=5)
    def pay(self) -> list[Command]:
        return [Withdraw("alice", 1), Withdraw("bob", 1)]

    @pay.undo
    def pay_back(self, taken: list[Command]) -> list[Deposit]:
        return [Deposit(command.to, 1) for command in taken]

    @step
    def never(self) -> Tell:
        return Tell("desk", "paid")


@virtual
async def test_a_command_that_arrives_after_its_step_was_undone_has_no_effect() -> None:
    travel = Travel("bob")
    async with runtime_of(Slow, middleware=[travel]) as runtime:
        await open_accounts(runtime, alice=10, bob=10)
        id = await ask(runtime)
        saga = await saga_in(runtime, Slow, id, "undone")
        assert saga.reason == "pay did not finish within 5 s"
        assert set(await travel.arrive()) == {"CommandConflict"}
        assert await balances(runtime, "alice", "bob") == (10, 10)
        with pytest.raises(CommandConflict, match=r"was recorded as not done .* can no longer take effect"):
            await travel.stopped[0]()


@virtual
async def test_an_effect_whose_reply_was_lost_is_found_and_undone() -> None:
    travel = Travel("alice", "bob")
    async with runtime_of(Slow, middleware=[travel]) as runtime:
        await open_accounts(runtime, alice=10, bob=10)
        id = await ask(runtime)
        await asyncio.sleep(1)
        await travel.stopped[1]()
        travel.to = ("alice",)
        saga = await saga_in(runtime, Slow, id, "undone")
        assert [line.text for line in saga.history if "pay:undo" in line.text] == [
            "pay:undo: sends Deposit to 'bob'",
            "pay:undo: done",
        ]
        assert await balances(runtime, "alice", "bob") == (10, 10)


@virtual
async def test_an_earlier_copy_of_a_rejected_command_has_no_effect_when_it_arrives() -> None:
    travel = Travel("alice")
    async with runtime_of(Slow, middleware=[travel]) as runtime:
        await open_accounts(runtime, alice=0, bob=10)
        id = await ask(runtime)
        await asyncio.sleep(1)
        travel.to = ()  # the second copy overtakes the first
        saga = await saga_in(runtime, Slow, id, "undone")
        assert saga.reason == "insufficient funds"
        await runtime.send(Deposit("alice", 10))
        assert await travel.arrive() == ["CommandConflict"]
        assert await balances(runtime, "alice", "bob") == (10, 10)


class Forward(Saga):
    """Nothing is undone after the first step: the second must be done, and its event come."""

    @starts
    def requested(self, event: TransferRequested) -> None: ...

    @step(pivot=True)
    def begin(self) -> Withdraw:
        return Withdraw("alice", 0)

    @step(timeout_s=5, retry=Retry(attempts=2, backoff_s=0.1))
    def pay(self) -> list[Deposit]:
        return [Deposit("alice", 1), Deposit("bob", 1), Deposit("carol_closed", 1)]

    @step(until=Told, timeout_s=5)
    def close(self) -> Deposit:
        return Deposit("alice", 1)


@virtual
async def test_a_step_that_is_retried_sends_what_did_not_happen_under_new_ids() -> None:
    travel = Travel("bob")
    async with runtime_of(Forward, middleware=[travel]) as runtime:
        await open_accounts(runtime, alice=0, bob=0, carol_closed=0)
        id = await ask(runtime)
        await saga_in(runtime, Forward, id, "failed")
        await runtime.sagas.retry(Forward, id, reason="try again")  # once more in vain
        await settled()
        await saga_in(runtime, Forward, id, "failed")
        await runtime.send(Unlock("carol_closed"))
        late, travel.to = travel.stopped[:], ()
        await runtime.sagas.retry(Forward, id, reason="all are reachable")
        await settled()
        assert await balances(runtime, "alice", "bob", "carol_closed") == (2, 1, 1)  # and alice's of the next step
        arrived = await asyncio.gather(*[one() for one in late], return_exceptions=True)
        assert {type(one) for one in arrived} == {CommandConflict}
        view = await saga_in(runtime, Forward, id, "failed")
        assert "pay: sends Deposit to 'bob', Deposit to 'carol_closed'" in [line.text for line in view.history]


@virtual
async def test_a_step_that_is_retried_for_its_event_alone_sends_nothing_again() -> None:
    async with runtime_of(Forward) as runtime:
        await open_accounts(runtime, alice=0, bob=0, carol_closed=0)
        await runtime.send(Unlock("carol_closed"))
        id = await ask(runtime)
        await saga_in(runtime, Forward, id, "failed")
        await runtime.sagas.retry(Forward, id, reason="it will come")
        view = await saga_in(runtime, Forward, id, "running")
        assert view.history[-1].text == "close: waits for its event"
        assert await balances(runtime, "alice") == (2,)
        await asyncio.sleep(6)
        assert (await saga_in(runtime, Forward, id, "failed")).reason == "close did not finish within 5 s"


@virtual
async def test_an_order_that_is_cancelled_while_it_is_being_sent_has_no_effect() -> None:
    travel = Travel("bob")
    async with runtime_of(middleware=[travel]) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), command_id="order")
        await asyncio.sleep(1)
        assert await runtime.submissions.cancel("order", reason="not needed")
        assert set(await travel.arrive()) == {"CommandConflict"}
        await asyncio.sleep(60)
        assert await balances(runtime, "bob") == (0,)
        view = await runtime.submissions.get("order")
        assert (view.status, view.reason) == ("cancelled", "not needed")


@virtual
async def test_an_order_that_took_effect_unanswered_cannot_be_cancelled() -> None:
    travel = Travel("bob")
    async with runtime_of(middleware=[travel]) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Deposit("bob", 5), command_id="order")
        await asyncio.sleep(1)
        await travel.stopped[0]()
        assert not await runtime.submissions.cancel("order")
        await travel.arrive()
        await asyncio.sleep(60)
        assert (await runtime.submissions.get("order")).status == "done"


@virtual
async def test_the_id_of_a_command_that_was_sent_and_not_submitted_cannot_be_cancelled() -> None:
    async with runtime_of() as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.send(Deposit("bob", 5), command_id="sent")
        with pytest.raises(NotFound):
            await runtime.submissions.cancel("sent")


@virtual
async def test_an_order_that_failed_takes_its_id() -> None:
    travel = Travel("bob")
    async with runtime_of(middleware=[travel]) as runtime:
        await open_accounts(runtime, bob=0)
        await runtime.submit(Withdraw("bob", 5), command_id="order")
        await asyncio.sleep(1)
        travel.to = ()
        await asyncio.sleep(60)
        assert (await runtime.submissions.get("order")).status == "failed"
        await runtime.send(Deposit("bob", 5))
        assert await travel.arrive() == ["CommandConflict"]
        assert await balances(runtime, "bob") == (5,)
