"""Customers register, change and are forgotten in a simulated world with faults."""

from support.customers import Customer, Letterbox, PlainNames, Register, Rename, Welcome

from actorium.personal import FORGOTTEN, personal
from actorium.simulation import View, World, simulation


@simulation(seeds=5)
async def customers_come_and_go(world: World) -> None:
    shop = world.runtime([Customer, Letterbox, Welcome, PlainNames])
    world.eventually(
        "only Bob is known by name", lambda view: names(view) == {"ada": FORGOTTEN, "bob": "Bob", "eve": FORGOTTEN}
    )
    for customer in ("ada", "bob", "eve"):
        await shop.send(Register(customer, personal(f"{customer.title()} I.")))
        await shop.send(Rename(customer, personal(f" {customer.title()} ")))
    await shop.forget("ada")
    await shop.forget("eve")


def names(view: View) -> dict[str, str]:
    return {one.id: one.name.value for one in view.all(Customer) if one.name is not None}


def test_a_run_repeats() -> None:
    one, other = customers_come_and_go.run(3), customers_come_and_go.run(3)
    assert one.trace == other.trace
