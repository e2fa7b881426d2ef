"""A step whose command another service handles: it takes effect once there, or never, whatever is lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from support.shop_parts import (
    ApproveOrder,
    Customer,
    OpenCustomer,
    Order,
    OrderPlaced,
    PlaceOrder,
    RejectOrder,
    ReleaseCredit,
    ReserveCredit,
    customers,
)
from support.virtual_time import settled, virtual

from actorium import RecordedEvent, Retry, Runtime, Saga, starts, step
from actorium.errors import CommandConflict
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.runtime.commands.derived_ids import DerivedId
from actorium.services import Service
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource
from actorium.testing import LoopSource

ACCEPTED = [OpenCustomer, ReserveCredit, ReleaseCredit]


class FillOrder(Saga):
    customer: str = ""
    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: OrderPlaced, recorded: RecordedEvent[OrderPlaced]) -> None:
        self.customer, self.amount = event.customer, event.amount

    @step(timeout_s=20.0, retry=Retry(attempts=3))
    def reserve(self) -> ReserveCredit:
        return ReserveCredit(self.customer, self.id, self.amount)

    @reserve.undo
    def release(self) -> ReleaseCredit:
        return ReleaseCredit(self.customer, self.id)

    @step
    def approve(self) -> ApproveOrder:
        return ApproveOrder(self.id)


class LossyBus(MemoryBus):
    """A bus that loses what one side sends while it is told to, and keeps it for later."""

    loses = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.held: list[tuple[str, bytes, str]] = []

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        if self.loses:
            self.held.append((subject, data, reply))
        else:
            await super().publish(subject, data, reply)


class Shop:
    def __init__(self) -> None:
        self.name = SystemSource().new_id()
        self.orders_bus, self.customers_bus = LossyBus(self.name), LossyBus(self.name)
        self.orders = self._orders()
        self.home = self._home()

    def _orders(self) -> Runtime:
        return Runtime(
            [Order, FillOrder, customers()],
            store=MemoryStore(),
            service=Service("orders", bus=self.orders_bus),
            source=LoopSource(),
        )

    def _home(self) -> Runtime:
        service = Service("customers", bus=self.customers_bus, accepts=ACCEPTED)
        return Runtime([Customer], store=MemoryStore(), service=service)

    async def reserved(self) -> dict[str, int]:
        return (await self.home.get(Customer, "c-1")).reserved

    async def status(self) -> str:
        return (await self.orders.get(Order, "o-1")).status


@asynccontextmanager
async def shop(limit: int = 100) -> AsyncIterator[Shop]:
    it = Shop()
    async with it.home, it.orders:
        await it.home.send(OpenCustomer("c-1", limit))
        yield it


@virtual
async def test_a_remote_step_succeeds_like_a_local_one() -> None:
    async with shop() as it:
        await it.orders.send(PlaceOrder("o-1", "c-1", 30))
        view = await it.orders.sagas.get(FillOrder, "o-1", ended_within_s=60.0)
        assert view.status == "completed"
        assert (await it.status(), await it.reserved()) == ("approved", {"o-1": 30})
        (change,) = [one async for one in it.home.history(Customer, "c-1", after_version=1)]
        assert change.metadata.command_id == "~~orders/FillOrder/o-1/reserve/0"
        assert change.metadata.causation_id.startswith("orders:FillOrder/o-1/")
        assert change.metadata.correlation_id


@virtual
async def test_a_remote_rejection_undoes_the_saga() -> None:
    async with shop(limit=10) as it:
        await it.orders.send(PlaceOrder("o-1", "c-1", 30))
        view = await it.orders.sagas.get(FillOrder, "o-1", ended_within_s=60.0)
        assert view.status == "undone"
        assert await it.reserved() == {}
        # A late copy of the rejected command can no longer take effect, though there is room by now.
        await it.home.send(OpenCustomer("c-2", 1000))
        with pytest.raises(CommandConflict, match="recorded as not done"):
            await it.orders.send(ReserveCredit("c-2", "o-1", 30), command_id=DerivedId("~FillOrder/o-1/reserve/0"))


@virtual
async def test_a_later_failure_undoes_the_remote_step() -> None:
    async with shop() as it:
        it.customers_bus.loses = True  # the step is carried out, but its answer is held up
        await it.orders.send(PlaceOrder("o-1", "c-1", 30))
        await asyncio.sleep(1.0)
        assert await it.reserved() == {"o-1": 30}
        await it.orders.send(RejectOrder("o-1", "changed my mind"))
        it.customers_bus.loses = False
        view = await it.orders.sagas.get(FillOrder, "o-1", ended_within_s=120.0)
        assert view.status == "undone"
        assert (await it.status(), await it.reserved()) == ("rejected", {})


@virtual
async def test_a_step_that_timed_out_is_settled_by_the_other_service() -> None:
    """The command took effect and its answer was lost: at its deadline, the saga asks, and learns that it did."""
    async with shop() as it:
        it.customers_bus.loses = True
        await it.orders.send(PlaceOrder("o-1", "c-1", 30))
        await asyncio.sleep(300.0)  # far past the deadline of the step: nobody can know
        assert (await it.orders.sagas.get(FillOrder, "o-1")).status == "running"
        it.customers_bus.loses = False
        view = await it.orders.sagas.get(FillOrder, "o-1", ended_within_s=120.0)
        assert view.status == "undone"
        assert await it.reserved() == {}
        history = [type(one.event).__name__ async for one in it.home.history(Customer, "c-1")]
        assert history == ["CustomerOpened", "CreditReserved", "CreditReleased"]


@virtual
async def test_a_command_that_arrives_after_its_step_was_over_takes_no_effect() -> None:
    async with shop() as it:
        it.orders_bus.loses = True
        await it.orders.send(PlaceOrder("o-1", "c-1", 30))
        await asyncio.sleep(300.0)
        late = [one for one in it.orders_bus.held if b"ReserveCredit" in one[1]]
        assert late
        it.orders_bus.loses = False
        view = await it.orders.sagas.get(FillOrder, "o-1", ended_within_s=120.0)
        assert view.status == "undone"
        for message in late:
            await it.orders_bus.publish(*message)
        await settled()
        assert await it.reserved() == {}


@virtual
async def test_a_service_that_is_away_costs_time_and_nothing_else() -> None:
    name = SystemSource().new_id()
    store = MemoryStore()
    service = Service("orders", bus=f"memory://{name}")
    async with Runtime([Order, FillOrder, customers()], store=store, service=service) as orders:
        with capture_logs() as lines:
            await orders.send(PlaceOrder("o-1", "c-1", 30))
            await asyncio.sleep(10.0)
        failed = [line for line in lines if line["event"] == "attempt_failed"]
        assert failed, "each attempt is logged"
        assert all("ServiceUnavailable" in line["error"] and "traceback" not in line for line in failed)
        home = Runtime(
            [Customer], store=MemoryStore(), service=Service("customers", bus=f"memory://{name}", accepts=ACCEPTED)
        )
        async with home:
            await home.send(OpenCustomer("c-1", 100))
            view = await orders.sagas.get(FillOrder, "o-1", ended_within_s=60.0)
            assert view.status == "completed"
