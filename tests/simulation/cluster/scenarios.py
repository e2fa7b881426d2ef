"""Scenarios with several nodes on one log."""

import asyncio
from contextlib import suppress

from simulation.mutants.domain import Account, Ask, Deposit, Desk, Open, Statement, Transfer, Withdraw

from actorium import NotFound, Rejected, Settings
from actorium.simulation import Faults, Kind, View, World, simulation
from actorium.simulation.world.client import SimulatedRuntime

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


@simulation(seeds=200, faults=Faults({Kind.STORE_SLOW: 0.3, Kind.FRAME_LATE: 0.05}, reorder=0.2))
async def restarts(world: World) -> None:
    """Two nodes restart in turn, so accounts move while commands for them wait for room that others take."""
    bank = world.cluster([Account], nodes=2, settings=Settings(max_in_flight=1))
    async with world.calm():
        for name in NAMES:
            await bank.send(Open(name, 50))

    async def client(number: int) -> None:
        for turn in range(4):
            name = NAMES[(number + turn) % len(NAMES)]
            with suppress(Rejected):
                await bank.send(Deposit(name, 20) if turn % 2 else Withdraw(name, 30 + number))
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 10) / 10)

    async def operator() -> None:
        for node in bank.nodes:
            await node.stop()
            await asyncio.sleep(3)

    await asyncio.gather(operator(), *map(client, range(12)))


@simulation(seeds=200, faults=Faults({Kind.FRAME_LATE: 0.4, Kind.FRAME_DOUBLED: 0.2}, reorder=0.2))
async def late_frames(world: World) -> None:
    """A node sends commands to two others, of which one restarts again and again, and most frames come late."""
    bank = world.cluster([Account], nodes=3)
    sender, restarted = bank.nodes[0], bank.nodes[1]
    async with world.calm():
        for name in NAMES:
            await bank.send(Open(name, 10))

    async def client(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        for _ in range(5):
            with suppress(Rejected):
                await sender.send(Withdraw(name, 15))
            await asyncio.sleep(1)

    async def depositor() -> None:
        for turn in range(12):
            await bank.nodes[2].send(Deposit(NAMES[turn % len(NAMES)], 8))
            await asyncio.sleep(1)

    async def operator() -> None:
        for _ in range(5):
            await restarted.stop()
            await asyncio.sleep(3)
        sender.crash()

    await asyncio.gather(operator(), depositor(), *map(client, range(6)))


@simulation(seeds=200, faults=Faults({Kind.CUT_OFF: 0.15}))
async def cut_off(world: World) -> None:
    """Each of two nodes is asked for the same accounts, also while it cannot reach the log and does not own them."""
    bank = world.cluster([Account], nodes=2)
    async with world.calm():
        for name in NAMES[:3]:
            await bank.send(Open(name, 10))

    async def writer(node: SimulatedRuntime) -> None:
        for turn in range(9):
            await node.send(Deposit(NAMES[turn % 3], 10))
            await asyncio.sleep(2)

    async def reader(node: SimulatedRuntime, name: str) -> None:
        for _ in range(20):
            await node.get(Account, name)
            await asyncio.sleep(1)

    readers = [reader(node, name) for node in bank.nodes for name in NAMES[:3]]
    await asyncio.gather(*map(writer, bank.nodes), *readers)
