"""A service of two nodes that are paused again and again while another service sends it commands that it refuses."""

import asyncio

from simulation.services.scenarios import NAMES
from support.shop_parts import (
    CreditReleased,
    CreditReserved,
    Customer,
    CustomerOpened,
    OpenCustomer,
    Order,
    ReleaseCredit,
    ReserveCredit,
)

from actorium import Rejected
from actorium.services import RemoteService
from actorium.simulation import Faults, Kind, World, simulation

LATE = Faults({Kind.FRAME_LATE: 0.25, Kind.FRAME_LOST: 0.03, Kind.PAUSE: 0.05, Kind.CRASH: 0.02})


@simulation(seeds=200, faults=LATE)
async def refusals_of_nodes(world: World) -> None:
    """Callers ask two nodes for more credit than there is; copies of a command wait at a node that is paused or far."""
    used = RemoteService(
        "customers",
        commands=[OpenCustomer, ReserveCredit, ReleaseCredit],
        events=[CustomerOpened, CreditReserved, CreditReleased],
    )
    accepts = [OpenCustomer, ReserveCredit, ReleaseCredit]
    world.service("customers", [Customer], accepts=accepts, nodes=2)
    orders = world.service("orders", [Order, used])
    async with world.calm():
        for name in NAMES:
            await orders.send(OpenCustomer(name, 20))

    async def client(number: int) -> None:
        name, order = NAMES[number % len(NAMES)], f"o-{number}"
        for turn in range(3):
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 20) / 10)
            try:
                await orders.send(ReserveCredit(name, f"{order}-{turn}", 15), timeout_s=6.0)
            except Rejected:
                continue
            await asyncio.sleep(2)
            await orders.send(ReleaseCredit(name, f"{order}-{turn}"), timeout_s=6.0)

    await asyncio.gather(*map(client, range(9)))
