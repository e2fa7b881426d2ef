"""The impact of events that go to other services, and of events that came from them."""

import pytest
from support.shop_parts import Customer, CustomerOpened, OpenCustomer, Order, PlaceOrder, customers
from support.virtual_time import settled, virtual

from actorium import Runtime, Saga, starts
from actorium.corrections import Impact, Selection
from actorium.errors import ConfigurationError
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.services import Service
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource


class Gift(Saga):
    """Whoever becomes a customer gets an order."""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: CustomerOpened) -> PlaceOrder:
        return PlaceOrder(f"gift-{self.id}", self.id, 1)


def counts(impact: Impact) -> dict[str, int]:
    return {name: number for name, number in impact.counts().items() if number}


@virtual
async def test_the_impact_continues_in_the_service_that_took_an_event_in() -> None:
    bus = MemoryBus(SystemSource().new_id())
    there = MemoryBus(bus.describe().removeprefix("memory://"))
    async with (
        Runtime(
            [Customer], store=MemoryStore(), service=Service("customers", bus=bus, publishes=[CustomerOpened])
        ) as home,
        Runtime([Order, Gift, customers()], store=MemoryStore(), service=Service("orders", bus=there)) as orders,
    ):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        assert (await orders.get(Order, "gift-ann")).status == "placed"
        here = await home.corrections.impact(Selection(events=["Customer/ann/1"]))
        assert counts(here)["events published to services"] == 1
        assert [(one.kind, one.name, one.handled) for one in here.followers] == [("publisher", "customers", 1)]
        beyond = await orders.corrections.impact(Selection(causes=["customers:Customer/ann/1"]))
        assert (beyond.selected, counts(beyond)["events of other services"], counts(beyond)["sagas"]) == (1, 1, 1)
        assert {one.id for one in beyond.streams if one.kind == "aggregate"} == {"gift-ann"}
        assert counts(await orders.corrections.impact(Selection(causes=["customers:Customer/bob/1"]))) == {}


def test_causes_alone_are_a_condition() -> None:
    assert Selection(causes=["a"]).causes == ["a"]
    with pytest.raises(ConfigurationError):
        Selection()
