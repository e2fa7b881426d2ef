"""A command that finds nothing in flight is decided within `send`, and nobody else notices."""

import asyncio
import sys

import pytest
from support.bank import Account, Add, Deposit, OpenAccount, Tally, Withdraw
from support.virtual_time import virtual

from actorium import Rejected, Runtime
from actorium.actors.actor import Actor


@virtual
async def test_one_who_is_always_refused_lets_others_run() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice", owner="Alice"))
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(100):
            with pytest.raises(Rejected):
                await runtime.send(Withdraw("alice", 1_000))
        task.cancel()
        assert turns >= 99


@virtual
async def test_one_who_leaves_at_once_has_sent_his_command() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice", owner="Alice"))
        sending = asyncio.create_task(runtime.send(Deposit("alice", 5)))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await runtime.get(Account, "alice")).balance == 5
        assert runtime.statistics().in_flight == 0


@virtual
async def test_a_bug_in_the_turn_ends_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(actor: Actor, budget: int) -> int:
        raise ZeroDivisionError("a bug of the runtime")

    runtime = Runtime([Tally], store="memory://")
    await runtime.start()
    await runtime.send(Add("t"))
    monkeypatch.setattr(Actor, "turn", turn)
    with pytest.raises(Exception, match="a bug of the runtime"):
        await runtime.send(Add("t"))
    assert isinstance(await runtime.ended(), ZeroDivisionError)


@virtual
async def test_one_whose_stack_is_nearly_full_does_not_harm_the_runtime() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("t"))

        async def sent_at(depth: int) -> object:
            if depth:
                return await sent_at(depth - 1)
            return await runtime.send(Add("t"), timeout_s=1.0)

        limit = sys.getrecursionlimit()
        overflowed = 0
        for depth in (*range(0, limit - 100, 50), *range(limit - 100, limit)):
            try:
                await sent_at(depth)
            except RecursionError:
                overflowed += 1
        assert overflowed
        assert (await runtime.send(Add("t"))).version > limit // 50
