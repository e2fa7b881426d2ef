"""Two running services that tests send commands between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.shop_parts import (
    Customer,
    OpenCustomer,
    Order,
    ReleaseCredit,
    ReserveCredit,
    customers,
)

from actorium import Runtime
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.services import Service
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource

ACCEPTED = [OpenCustomer, ReserveCredit, ReleaseCredit]


class DeafBus(MemoryBus):
    """A bus that loses every message from one side, while it is told to."""

    deaf = False

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        if not self.deaf:
            await super().publish(subject, data, reply)


def new_bus() -> str:
    return f"memory://{SystemSource().new_id()}"


@asynccontextmanager
async def shop(bus: str, **options: Any) -> AsyncIterator[tuple[Runtime, Runtime]]:
    """Two running services: orders, which may ask customers, and customers."""
    accepts = options.pop("accepts", ACCEPTED)
    middleware = options.pop("middleware", ())
    settings = options.pop("settings", None)
    async with (
        Runtime(
            [Customer],
            store=MemoryStore(),
            settings=settings,
            middleware=middleware,
            service=Service("customers", bus=bus, accepts=accepts, **options),
        ) as home,
        Runtime([Order, customers()], store=MemoryStore(), service=Service("orders", bus=bus)) as orders,
    ):
        yield orders, home
