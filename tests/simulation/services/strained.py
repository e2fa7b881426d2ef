"""A service that is slow, pauses and crashes, while others send it more than it has room for."""

import asyncio
from contextlib import suppress

from support.shop_parts import Customer, OpenCustomer, Order, ReleaseCredit, ReserveCredit

from actorium import Rejected, Settings
from actorium.services import RemoteService
from actorium.simulation import Faults, Kind, World, simulation

STRAINED = Faults(
    {
        Kind.PAUSE: 0.4,
        Kind.CRASH: 0.1,
        Kind.CRASH_AFTER_COMMIT: 0.02,
        Kind.STORE_SLOW: 0.15,
        Kind.STORE_OUTAGE: 0.05,
        Kind.FRAME_DOUBLED: 0.1,
        Kind.FRAME_LATE: 0.05,
        Kind.REQUEST_CANCELLED: 0.2,
    },
    reorder=0.2,
)


@simulation(seeds=200, faults=STRAINED)
async def strained(world: World) -> None:
    """Two services, which have little time, ask a third one, which has little room."""
    used = RemoteService("customers", commands=[OpenCustomer, ReserveCredit, ReleaseCredit])
    world.service(
        "customers",
        [Customer],
        accepts=[OpenCustomer, ReserveCredit, ReleaseCredit],
        max_in_flight=(2, 4)[world.choose("room at the door", 2)],
        settings=Settings(max_in_flight=1 + world.choose("room in the service", 2)),
    )
    callers = [world.service(name, [Order, used]) for name in ("orders", "till")]
    async with world.calm():
        await callers[0].send(OpenCustomer("ann", 20))

    async def client(number: int) -> None:
        caller = callers[number % 2]
        for turn in range(8):
            timeout_s = (2.0, 6.0)[world.choose(f"timeout {number} {turn}", 2)]
            order = f"o-{world.choose(f'order {number} {turn}', 3)}"
            with suppress(Rejected):
                if world.choose(f"command {number} {turn}", 2):
                    await caller.send(ReserveCredit("ann", order, 15), timeout_s=timeout_s)
                else:
                    await caller.send(ReleaseCredit("ann", order), timeout_s=timeout_s)
            await asyncio.sleep(world.choose(f"pause {number} {turn}", 20) / 10)

    await asyncio.gather(*map(client, range(8)))
