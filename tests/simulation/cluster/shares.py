"""Sagas in shares, on two nodes that stop, freeze and are cut off: each share is carried out by one node at a time."""

import asyncio

from simulation.mutants.domain import Account, Ask, Desk, Open, Transfer

from actorium.application import Runtime
from actorium.simulation import Faults, Kind, View, World, simulation
from actorium.store.shared import SHARDS
from actorium.store.tables.shares import SHARES

NAMES = ("alice", "bob", "carol", "dave")
LOST = Faults(dict.fromkeys((Kind.FROZEN, Kind.CUT_OFF), 0.15) | {Kind.CRASH: 0.05, Kind.STORE_SLOW: 0.1}, reorder=0.2)


@simulation(seeds=200, faults=LOST)
async def shares(world: World) -> None:
    """Transfers with timers run on two nodes, which are stopped in turn."""
    bank = world.cluster([Account, Desk, Transfer], nodes=2)
    world.conserved("no money appears or vanishes", money)
    async with world.calm():
        for name in (*NAMES, "bank"):
            await bank.send(Open(name, 200))

    async def client(number: int) -> None:
        for turn in range(4):
            source, target = NAMES[number % 2], NAMES[2 + (number + turn) % 2]
            await bank.send(Ask(f"desk-{number}", source, target, 10 + 5 * turn))
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 40) / 10)

    async def operator() -> None:
        for node in bank.nodes:
            await asyncio.sleep(4)
            await node.stop()

    await asyncio.gather(operator(), *map(client, range(4)))
    async with world.calm():
        await world.rest()
        await asyncio.sleep(30)
        for node in bank.nodes:
            await node.start()
            strangers = node.node.look(strange_shards)
            assert not strangers, f"{node.node.name} carries out sagas of shards that it does not own: {strangers}"


def money(view: View) -> int:
    """The sum of all balances."""
    return sum(account.balance for account in view.all(Account))


def strange_shards(runtime: Runtime) -> list[int]:
    """Return the shards whose sagas a node carries out without owning them."""
    node = runtime._node
    assert node is not None, "a node of a cluster"
    directory = node.directory
    mine = {share for name, share in directory.shares.items() if directory.follower_owner(name) == directory.me}
    owners = directory.placement.shards
    return [shard for shard in range(SHARDS) if shard * SHARES // SHARDS in mine and owners[shard] != directory.me]
