"""Scenarios with several nodes on one log."""

import asyncio
from contextlib import suppress

from simulation.mutants.domain import Account, Ask, Deposit, Desk, Open, Statement, Transfer, Withdraw

from actorium import NotFound, Rejected
from actorium.simulation import Faults, Kind, View, World, simulation

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


def money(view: View) -> int:
    """The sum of all balances."""
    return sum(account.balance for account in view.all(Account))


@simulation(seeds=200, faults=Faults.all(rate=0.05))
async def transfers(world: World) -> None:
    """Sagas move money between accounts of three nodes, and a table follows; each runs on one node at a time.

    No account that receives money sends any: else it could be spent before a transfer is undone, and the saga be stuck.
    """
    bank = world.cluster([Account, Desk, Transfer, Statement], nodes=3)
    world.conserved("no money appears or vanishes", money)
    async with world.calm():
        for name in (*NAMES, "bank"):
            await bank.send(Open(name, 100))

    async def client(number: int) -> None:
        for turn in range(2):
            source, target = NAMES[(number + turn) % 3], NAMES[3 + (number + 2 * turn) % 3]
            amount = 10 + world.choose(f"amount {number} {turn}", 60)
            ack = await bank.send(Ask(f"desk-{number}", source, target, amount))
            await bank.query(Statement.of, source, after=ack.position)

    await asyncio.gather(*map(client, range(3)))


RESENT = Faults(
    dict.fromkeys((Kind.FRAME_LATE, Kind.FRAME_DOUBLED), 0.15)
    | dict.fromkeys((Kind.FRAME_LOST, Kind.CUT_OFF, Kind.FROZEN), 0.05)
    | {Kind.CRASH: 0.02},
    reorder=0.2,
)


@simulation(seeds=200, faults=RESENT)
async def refusals(world: World) -> None:
    """Clients of three nodes ask for more than there is, again and again, while others pay in; frames come late."""
    bank = world.cluster([Account], nodes=3)
    async with world.calm():
        for name in NAMES[:2]:
            await bank.send(Open(name, 10))

    async def client(number: int) -> None:
        for turn in range(8):
            name = NAMES[(number + turn // 4) % 2]
            with suppress(Rejected, NotFound):
                await bank.send(Deposit(name, 20) if number % 3 == 0 else Withdraw(name, 15))
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 50) / 10)

    await asyncio.gather(*map(client, range(6)))
