"""Under load a step waits, within its timeout, without using up attempts."""

import asyncio
from collections.abc import Callable

import pytest
from support.transfers import Ask, Deposit, Transfer, Withdraw, ask, balances, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import ActoriumError, CommandContext, Middleware, Next, Retry, Settings, step
from actorium.actors.commands import Ack
from actorium.errors import CommandTimeout, Overloaded


class Impatient(Transfer):
    @step(retry=Retry(attempts=2, backoff_s=0.1), timeout_s=600)
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount)

    @step
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)


def crowded(times: int, error: Callable[[], ActoriumError]) -> Middleware:
    """Return middleware that refuses withdrawals with Overloaded this many times."""
    left = times

    async def refuse(context: CommandContext, call: Next) -> Ack:
        nonlocal left
        if type(context.command) is Withdraw and left:
            left -= 1
            raise error()
        return await call(context)

    return refuse


ERRORS: dict[str, Callable[[], ActoriumError]] = {
    "no room": lambda: Overloaded("no room", retry_after_s=1.0),
    "no answer": lambda: CommandTimeout("no answer", command_id=""),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@virtual
async def test_a_command_without_room_is_sent_again_without_using_an_attempt(
    error: Callable[[], ActoriumError],
) -> None:
    async with runtime_of(Impatient, middleware=[crowded(20, error)]) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await saga_in(runtime, Impatient, await ask(runtime), "completed")
        assert await balances(runtime, "alice", "bob") == (90, 10)


@virtual
async def test_the_timeout_of_the_step_ends_it_nevertheless() -> None:
    async with runtime_of(
        Impatient, middleware=[crowded(10_000, lambda: Overloaded("no room", retry_after_s=1.0))]
    ) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        saga = await saga_in(runtime, Impatient, await ask(runtime), "undone", within_s=700)
        assert saga.reason == "debit did not finish within 600 s"
        assert await balances(runtime, "alice", "bob") == (100, 0)


@virtual
async def test_a_runtime_with_room_for_one_command_completes_all_sagas() -> None:
    settings = Settings(max_in_flight=1, mailbox_limit=1, default_timeout_s=0.01, poll_s=1.0)
    async with runtime_of(Impatient, settings=settings) as runtime:
        await open_accounts(runtime, alice=1_000, bob=0)
        await asyncio.gather(*(runtime.send(Ask("desk", "alice", "bob", 10), timeout_s=60) for _ in range(40)))
        for n in range(1, 41):
            await saga_in(runtime, Impatient, f"Desk/desk/{n}", "completed")
        assert await balances(runtime, "alice", "bob") == (600, 400)
