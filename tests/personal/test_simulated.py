"""Customers register, change and are forgotten in a simulated world with faults."""

from support.customers import Customer, Letterbox, PlainNames, Register, Rename, Welcome

from actorium.personal import FORGOTTEN, personal
from actorium.simulation import Faults, View, World, simulation
from actorium.store.raised import error_text


@simulation(seeds=5)
async def customers_come_and_go(world: World) -> None:
    shop = world.runtime([Customer, Letterbox, Welcome, PlainNames])
    world.eventually(
        "only Bob is known by name", lambda view: names(view) == {"ada": FORGOTTEN, "bob": "Bob", "eve": FORGOTTEN}
    )
    for customer in ("ada", "bob", "eve"):
        await shop.send(Register(customer, personal(f"{customer.title()} I.")))
        renamed = await shop.send(Rename(customer, personal(f" {customer.title()} ")))
    assert set(await shop.query(PlainNames.all, after=renamed.position)) == {"ada", "bob", "eve"}
    await shop.forget("ada")
    await shop.forget("eve")


def names(view: View) -> dict[str, str]:
    return {one.id: one.name.value for one in view.all(Customer) if one.name is not None}


def test_a_run_repeats() -> None:
    one, other = customers_come_and_go.run(3), customers_come_and_go.run(3)
    assert one.trace == other.trace


def test_what_was_read_in_a_run_is_not_masked_in_the_next() -> None:
    """Masking would look for keys of the next run, whose ids are the same, before they are made."""
    texts = []

    @simulation(seeds=1, faults=Faults.none())
    async def one_customer(world: World) -> None:
        shop = world.runtime([Customer])
        await shop.send(Register("ada", personal("Ada Lovelace")))
        texts.append(error_text(ValueError("Ada Lovelace")))
        ada = await shop.get(Customer, "ada")
        assert ada.name is not None
        assert ada.name.value == "Ada Lovelace"

    for _ in range(2):
        assert one_customer.run(0).violation is None
    assert texts == ["ValueError: Ada Lovelace"] * 2
