"""Scenarios with several nodes on one log."""

import asyncio
from contextlib import suppress

from simulation.mutants.domain import Account, Deposit, Open, Withdraw

from actorium import NotFound, Rejected
from actorium.simulation import Faults, World, simulation

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")


@simulation(seeds=200, faults=Faults.all(rate=0.06))
async def accounts(world: World) -> None:
    """Six clients of three nodes move money and read accounts."""
    bank = world.cluster([Account], nodes=3)
    world.always("no account is overdrawn", lambda view: all(one.balance >= 0 for one in view.all(Account)))
    async with world.calm():
        for name in NAMES:
            await bank.send(Open(name, 50))

    async def client(number: int) -> None:
        for turn in range(4):
            name = NAMES[(number // 2 + turn) % len(NAMES)]
            amount = 10 + world.choose(f"amount {number} {turn}", 40)
            with suppress(Rejected, NotFound):
                await bank.send(Deposit(name, amount) if turn == 1 else Withdraw(name, amount))
            with suppress(NotFound):
                await bank.get(Account, name)

    await asyncio.gather(*map(client, range(6)))
