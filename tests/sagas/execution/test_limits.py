"""Due intents without a slot wait: some of them in memory, the rest in the agenda's table."""

import asyncio

import pytest
from support.transfers import Deposit, Tell, Told, Transfer, Withdraw, ask, balances, open_accounts, runtime_of, saga_in
from support.virtual_time import virtual

from actorium import Runtime, Saga, Settings, starts, step

NARROW = Settings(max_running_intents=1, max_waiting_intents=2, poll_s=1.0)


class Stage:
    """Where a saga waits until it may go on."""

    def __init__(self) -> None:
        self.may_go = asyncio.Event()


def blocking(stage: Stage) -> type[Saga]:
    class Blocking(Saga):
        @starts
        def asked(self, event: Told) -> None: ...

        @step
        async def wait(self) -> None:
            await stage.may_go.wait()

    return Blocking


async def most_in_memory(runtime: Runtime, for_s: int) -> tuple[int, int]:
    """Return the largest numbers of intents and of submitted commands that were in memory at once."""
    processes = runtime._saga_engine  # type: ignore[attr-defined]
    intents = commands = 0
    for _ in range(for_s * 10):
        intents = max(intents, len(processes._agenda._whole.runners.steps))
        commands = max(commands, len(processes._agenda._whole.runners.submissions))
        await asyncio.sleep(0.1)
    return intents, commands


@virtual
async def test_sagas_beyond_the_queue_wait_in_the_table_and_complete() -> None:
    stage = Stage()
    blocked = blocking(stage)
    async with runtime_of(Transfer, blocked, settings=NARROW) as runtime:
        await open_accounts(runtime, alice=1_000, bob=0)
        await runtime.send(Tell("news", "block"))
        await saga_in(runtime, blocked, "Desk/news/1", reached="wait: external effect")
        ids = [await ask(runtime) for _ in range(30)]
        assert (await most_in_memory(runtime, 30))[0] == 3
        assert await balances(runtime, "bob") == (0,)
        stage.may_go.set()
        for id in ids:
            await saga_in(runtime, Transfer, id, "completed")
        assert await balances(runtime, "alice", "bob") == (700, 300)


@pytest.mark.parametrize("after_s", [0, 7, 60])
@virtual
async def test_submitted_commands_beyond_the_queue_wait_in_the_table_and_are_sent(after_s: int) -> None:
    async with runtime_of(settings=NARROW) as runtime:
        await open_accounts(runtime, bob=0)
        for n in range(30):
            await runtime.submit(Deposit("bob", 1), after_s=after_s, command_id=f"later {n}")
        assert (await most_in_memory(runtime, after_s + 30))[1] <= 3
        assert await balances(runtime, "bob") == (30,)


@virtual
async def test_a_start_loads_no_more_than_there_is_room_for() -> None:
    stage = Stage()
    blocked = blocking(stage)
    store = (before := runtime_of(Transfer, blocked, settings=NARROW)).store
    async with before as runtime:
        await open_accounts(runtime, alice=1_000, bob=0)
        await runtime.send(Tell("news", "block"))
        await saga_in(runtime, blocked, "Desk/news/1", reached="wait: external effect")
        ids = [await ask(runtime) for _ in range(30)]
        await asyncio.sleep(5)
    stage.may_go.set()
    async with runtime_of(Transfer, blocked, store=store, settings=NARROW, seed=1) as runtime:
        assert (await most_in_memory(runtime, 30))[0] <= 3
        for id in ids:
            await saga_in(runtime, Transfer, id, "completed")
        assert await balances(runtime, "alice", "bob") == (700, 300)


@virtual
async def test_a_deadline_that_passes_in_the_table_is_kept_and_nothing_is_sent_after_it() -> None:
    stage = Stage()
    blocked = blocking(stage)

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

    async with runtime_of(Hurried, blocked, settings=NARROW) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await runtime.send(Tell("news", "block"))
        await saga_in(runtime, blocked, "Desk/news/1", reached="wait: external effect")
        ids = [await ask(runtime) for _ in range(10)]
        await asyncio.sleep(10)
        stage.may_go.set()
        for id in ids:
            assert (await saga_in(runtime, Hurried, id, "undone")).reason == "debit did not finish within 2 s"
        await asyncio.sleep(60)
        assert await balances(runtime, "alice", "bob") == (100, 0)
