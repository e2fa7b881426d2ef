"""Two logs under one service name: the process that started later takes no commands of others."""

import asyncio
from contextlib import suppress

from support.shop_parts import CreditReserved, Customer, OpenCustomer, Order, ReserveCredit

from actorium import Rejected
from actorium.services import RemoteService
from actorium.simulation import Faults, Kind, World, simulation

LATE = Faults(dict.fromkeys((Kind.FRAME_LATE, Kind.FRAME_DOUBLED, Kind.STORE_SLOW), 0.2), reorder=0.2)


@simulation(seeds=200, faults=LATE)
async def two_logs(world: World) -> None:
    """A service is started a second time by mistake, on another log; then the first process restarts."""
    used = RemoteService("customers", commands=[OpenCustomer, ReserveCredit], events=[CreditReserved])
    accepted = [OpenCustomer, ReserveCredit]
    customers = world.service("customers", [Customer], accepts=accepted)
    orders = world.service("orders", [Order, used])
    async with world.calm():
        await orders.send(OpenCustomer("ann", 60))
    later = world.service("customers", [Customer], accepts=accepted, process="later")
    world.always("the later process takes nothing in", lambda view: not any(view.events(CreditReserved)), of=later)
    await later.send(OpenCustomer("ben", 60))
    await asyncio.sleep(60)  # whatever is late has arrived: the two have met

    async def client(number: int) -> None:
        for turn in range(4):
            with suppress(Rejected):
                await orders.send(ReserveCredit("ann", f"o-{number}-{turn}", 10))
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 40) / 10)

    async def operator() -> None:
        await asyncio.sleep(2)
        customers.crash()

    await asyncio.gather(operator(), *map(client, range(4)))
