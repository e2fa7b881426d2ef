"""On a shared log, a reply that rests on memory alone waits until the lease is confirmed; on others it never does."""

import asyncio

import pytest
from support.bank import Account, Deposit, Look, OpenAccount, Withdraw

from actorium import Rejected, Runtime
from actorium.testing.shared_model import SharedModel, SharedModelStore

LEASE_S = 0.01


class Clock:
    """The clock of the server and of the process."""

    def __init__(self) -> None:
        self.now_s = 0.0


@pytest.mark.asyncio
async def test_after_the_lease_only_appends_are_answered_until_it_is_renewed() -> None:
    clock = Clock()
    store = SharedModelStore(SharedModel(lambda: clock.now_s), lease_s=LEASE_S)
    async with Runtime([Account], store=store) as runtime:
        await runtime.send(OpenAccount("a"))
        with pytest.raises(Rejected):
            await runtime.send(Withdraw("a", 1))
        store.stop_renewing()
        clock.now_s += 2 * LEASE_S
        calls = (runtime.send(Withdraw("a", 9)), runtime.send(Look("a")), runtime.get(Account, "a"))
        refused, empty, read = (asyncio.ensure_future(call) for call in calls)
        repeated = asyncio.ensure_future(runtime.send(Withdraw("a", 9), command_id="c"))
        assert (await runtime.send(Deposit("a", 5))).version == 2
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(one.done() for one in (refused, empty, read, repeated))
        store.go_on_renewing()
        assert (await empty).version == 2
        assert (await read).balance == 5
        for one in (refused, repeated):
            with pytest.raises(Rejected):
                await one
