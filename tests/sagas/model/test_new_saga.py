"""A new saga class on an existing log."""

import pytest
from support.virtual_time import virtual

from actorium import Aggregate, Command, Event, Runtime, Saga, decide, evolve, starts, step
from actorium.store.memory import MemoryStore


class Order(Command):
    pass


class Ordered(Event):
    pass


class Ship(Command):
    pass


class Shipped(Event):
    pass


class Shop(Aggregate):
    ordered: int = 0
    shipped: int = 0

    @decide
    def order(self, command: Order) -> Ordered:
        return Ordered()

    @decide
    def ship(self, command: Ship) -> Shipped:
        return Shipped()

    @evolve
    def took(self, event: Ordered) -> None:
        self.ordered += 1

    @evolve
    def sent(self, event: Shipped) -> None:
        self.shipped += 1


class FromNow(Saga):
    shop: str = "shop"

    @starts
    def ordered(self, event: Ordered) -> None: ...

    @step
    def ship(self) -> Ship:
        return Ship(self.shop)


class FromTheBeginning(FromNow):
    begins_at = "beginning"


@pytest.mark.parametrize(("saga", "shipped"), [(FromNow, 1), (FromTheBeginning, 3)])
@virtual
async def test_it_starts_for_earlier_events_only_if_it_says_so(saga: type[Saga], shipped: int) -> None:
    store = MemoryStore()
    async with Runtime([Shop], store=store) as runtime:
        await runtime.send(Order("shop"))
        await runtime.send(Order("shop"))
    async with Runtime([Shop, saga], store=store):
        pass  # it may be stopped before it has taken anything
    async with Runtime([Shop, saga], store=store) as runtime:
        await runtime.send(Order("shop"))
        async for recorded in runtime.events(types=[Shipped]):
            if recorded.version == 3 + shipped:
                break
        assert [one.status async for one in runtime.sagas.list(saga)].count("failed") == 0
        assert (await runtime.get(Shop, "shop")).shipped == shipped
