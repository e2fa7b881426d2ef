"""Answered commands are released from memory."""

import asyncio
import gc
import weakref

import pytest
from support.bank import Account, Deposit, OpenAccount, Withdraw
from support.virtual_time import run_virtual

from actorium import Rejected, Runtime, Settings


def test_a_refusal_is_forgotten_long_before_its_callers_deadline() -> None:
    """The traceback refers to the command's envelope, which refers to the future that holds the refusal."""

    async def scenario() -> None:
        async with Runtime([Account], store="memory://") as runtime:
            await runtime.send(OpenAccount("alice", owner="Alice"))
            refusals = []
            for _ in range(3):
                with pytest.raises(Rejected) as refused:
                    await runtime.send(Withdraw("alice", 1_000))
                refusals.append(weakref.ref(refused.value))
                del refused
            await runtime.send(Deposit("alice", 1))
            gc.collect()
            assert [refusal() for refusal in refusals] == [None, None, None]

    run_virtual(scenario())


def test_a_sender_that_waited_and_was_refused_leaves_no_deadline() -> None:
    """A command without events is answered in the turn that decides it, which may be before its sender wakes up."""

    async def scenario() -> None:
        async with Runtime([Account], store="memory://", settings=Settings(max_in_flight=1)) as runtime:
            await runtime.send(OpenAccount("alice", owner="Alice"))
            sent = [runtime.send(Withdraw("alice", 1_000)) for _ in range(5)]
            assert all(isinstance(one, Rejected) for one in await asyncio.gather(*sent, return_exceptions=True))
            assert runtime._engine is not None
            assert not runtime._engine.deadlines

    run_virtual(scenario())
