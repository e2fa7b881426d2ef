"""Customers are forgotten on one of several nodes, while letters are written and a table follows."""

import asyncio

from support.customers import Customer, Letterbox, PlainNames, Register, Rename, Welcome

from actorium import Settings
from actorium.personal import FORGOTTEN, personal
from actorium.simulation import Faults, View, World, simulation

CUSTOMERS = ("ada", "bob", "eve")


@simulation(seeds=200, faults=Faults.all(rate=0.05))
async def customers_come_and_go(world: World) -> None:
    """Three nodes register customers, who are sent letters; two are forgotten, and soon no node can read their names.

    Until `key_cache_s` has passed, a node may read what another one was told to forget.
    """
    shop = world.cluster([Customer, Letterbox, Welcome, PlainNames], nodes=3)
    world.eventually("only Bob is known by name", lambda view: known(view) == {"bob": ["Bob I.", "Bob"]})

    async def client(customer: str) -> None:
        name = customer.title()
        await shop.send(Register(customer, personal(f"{name} I.")))
        await shop.send(Rename(customer, personal(f" {name} ")))
        found = await shop.get(Customer, customer)
        assert [one.value for one in found.names] == [f"{name} I.", name]
        if customer == "bob":
            return
        told = await shop.forget(customer)
        assert customer not in await shop.query(PlainNames.all, after=told.position)
        await asyncio.sleep(Settings().key_cache_s)
        for node in shop.nodes:
            found = await node.get(Customer, customer)
            assert [one.value for one in found.names] == [FORGOTTEN] * 2

    await asyncio.gather(*map(client, CUSTOMERS))


def known(view: View) -> dict[str, list[str]]:
    """Return the names of the customers that can be read."""
    names = {one.id: [name.value for name in one.names] for one in view.all(Customer)}
    return {id: values for id, values in names.items() if values != [FORGOTTEN] * len(values)}
