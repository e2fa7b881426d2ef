"""A step that sends several commands: all succeed, or exactly those that took effect are undone."""

from support.transfers import Deposit, TransferRequested, Withdraw, ask, balances, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import Command, Retry, Saga, Settings, starts, step


class Collection(Saga):
    """Takes from three accounts at once."""

    target: str = ""

    @starts
    def requested(self, event: TransferRequested) -> None:
        self.target = event.target

    @step(timeout_s=60)
    def collect(self) -> list[Withdraw]:
        return [Withdraw(name, 10) for name in ("one", "two", "three")]

    @collect.undo
    def give_back(self, taken: list[Command]) -> list[Deposit]:
        return [Deposit(command.to, 10) for command in taken]

    @step
    def pay(self) -> Deposit:
        return Deposit(self.target, 30)


@virtual
async def test_all_commands_of_a_step_succeed() -> None:
    async with runtime_of(Collection) as runtime:
        await open_accounts(runtime, one=10, two=10, three=10, bob=0)
        await saga_in(runtime, Collection, await ask(runtime), "completed")
        assert await balances(runtime, "one", "two", "three", "bob") == (0, 0, 0, 30)


@virtual
async def test_one_command_is_rejected_and_only_the_others_are_undone() -> None:
    for poor in ("one", "two", "three"):
        async with runtime_of(Collection) as runtime:
            before = {"one": 10, "two": 10, "three": 10, "bob": 0, poor: 5}
            await open_accounts(runtime, **before)
            saga = await saga_in(runtime, Collection, await ask(runtime), "undone")
            assert saga.reason == "insufficient funds"
            assert await balances(runtime, *before) == tuple(before.values())


@virtual
async def test_all_commands_are_rejected_and_nothing_is_undone() -> None:
    async with runtime_of(Collection) as runtime:
        await open_accounts(runtime, one=0, two=0, three=0, bob=0)
        saga = await saga_in(runtime, Collection, await ask(runtime), "undone")
        assert not any("collect:undo" in line.text for line in saga.history)


@virtual
async def test_a_later_step_is_rejected_and_all_commands_are_undone() -> None:
    async with runtime_of(Collection) as runtime:
        await open_accounts(runtime, one=10, two=10, three=10, bob_closed=0)
        saga = await saga_in(runtime, Collection, await ask(runtime, target="bob_closed"), "undone")
        assert saga.reason == "account closed"
        assert await balances(runtime, "one", "two", "three") == (10, 10, 10)


@virtual
async def test_a_deadline_undoes_the_commands_that_took_effect() -> None:
    class Slow(Collection):
        @step(timeout_s=5, retry=Retry(attempts=100, backoff_s=1.0, backoff_max_s=1.0))
        def collect(self) -> list[Withdraw]:
            wrong = Withdraw("three", "ten")  # type: ignore[arg-type]
            return [Withdraw("one", 10), Withdraw("two", 10), wrong]

        @collect.undo
        def give_back(self, taken: list[Command]) -> list[Deposit]:
            return [Deposit(command.to, 10) for command in taken]

    async with runtime_of(Slow) as runtime:
        await open_accounts(runtime, one=10, two=10, three=10, bob=0)
        saga = await saga_in(runtime, Slow, await ask(runtime), "undone")
        assert saga.reason == "collect did not finish within 5 s"
        assert await balances(runtime, "one", "two", "three") == (10, 10, 10)


@virtual
async def test_many_fan_outs_complete_in_a_runtime_with_little_room() -> None:
    narrow = Settings(max_running_intents=2, max_in_flight=3, mailbox_limit=2, poll_s=1.0)
    async with runtime_of(Collection, settings=narrow) as runtime:
        await open_accounts(runtime, one=300, two=300, three=250, bob=0)
        ids = [await ask(runtime) for _ in range(30)]
        ends = [(await saga_in(runtime, Collection, id, "completed", "undone")).status for id in ids]
        assert (ends.count("completed"), ends.count("undone")) == (25, 5)
        assert await balances(runtime, "one", "two", "three", "bob") == (50, 50, 0, 750)
