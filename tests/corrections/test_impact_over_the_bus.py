"""Services that ask each other over the bus what events caused in their logs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from support.nats_server import over_nats, shared_server_url
from support.shop_parts import (
    CreditReserved,
    Customer,
    CustomerOpened,
    OpenCustomer,
    Order,
    OrderPlaced,
    PlaceOrder,
    ReserveCredit,
    customers,
)
from support.two_services import ACCEPTED, new_bus, shop
from support.virtual_time import settled, virtual

from actorium import RecordedEvent, Runtime, Saga, starts
from actorium.corrections import Impact, Selection, TouchedService
from actorium.corrections.impact import other_services
from actorium.corrections.pages.impact_page import impact_page
from actorium.errors import ConfigurationError
from actorium.runtime.bus.bus import BusMessage
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.runtime.bus.urls import open_bus
from actorium.runtime.services import link, questions
from actorium.runtime.services.contracts import Contract, Uses
from actorium.runtime.services.subjects import HELLO, questions_to
from actorium.services import Client, RemoteService, Service
from actorium.store.events import as_json, event_type_of
from actorium.store.memory import MemoryStore

ANN = Selection(events=["Customer/ann/1"])
PUBLISHED = [CustomerOpened, CreditReserved]


class Welcome(Saga):
    """Whoever becomes a customer gets an order."""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: CustomerOpened) -> PlaceOrder:
        return PlaceOrder(f"gift-{self.id}", self.id, 1)


class Credit(Saga):
    """Whoever places an order has its amount reserved."""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: OrderPlaced, recorded: RecordedEvent[OrderPlaced]) -> ReserveCredit:
        return ReserveCredit(event.customer, recorded.stream_id, event.amount)


def customers_with(bus: str, *parts: Any, name: str = "customers", **options: Any) -> Runtime:
    options = {"accepts": ACCEPTED, "publishes": PUBLISHED, **options}
    return Runtime([Customer, *parts], store=MemoryStore(), service=Service(name, bus=bus, **options))


def orders_with(bus: str, *parts: Any, name: str = "orders", **options: Any) -> Runtime:
    return Runtime([Order, Welcome, *parts], store=MemoryStore(), service=Service(name, bus=bus, **options))


@asynccontextmanager
async def running(*runtimes: Runtime) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for one in runtimes:
            await stack.enter_async_context(one)
        await settled()
        yield


@asynccontextmanager
async def older_service(bus: str, *, of: str = "customers", silent: bool = False) -> AsyncIterator[None]:
    """A service that takes events of another in and does not know the question, or never answers it."""
    there = open_bus(bus)
    await there.open("older", Watcher())
    if silent:
        await there.subscribe(questions_to("older", "*"), lambda message: None)
    taken: dict[str, Any] = {event_type_of(event): {} for event in (CustomerOpened, OrderPlaced)}
    contract = Contract("older", uses={of: Uses(events=taken)})
    await there.publish(HELLO, as_json({"contract": contract, "asks": False}))
    await settled()
    try:
        yield
    finally:
        await there.close()


class Watcher:
    def connected(self) -> None:
        pass

    def disconnected(self) -> None:
        pass

    def lost(self, what: str) -> None:
        pass


def of(impact: Impact, name: str) -> TouchedService:
    (found,) = (one for one in impact.services if one.name == name)
    return found


@virtual
async def test_a_service_that_takes_events_in_is_asked_what_they_caused(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    async with running(home, orders):
        await home.send(OpenCustomer("ann", 10))
        await home.send(OpenCustomer("bob", 10))
        await settled()
        impact = await home.corrections.impact(ANN)
        (touched,) = impact.services
        assert (touched.name, touched.problem, touched.services) == ("orders", "", [])
        assert touched.counts["sagas"] == 1
        assert touched.counts["events of other services"] == 1
        assert touched.counts["aggregates"] == 1
        assert touched.tree[0].split()[1] == "customers/ann/1"
        assert any("Order/gift-ann/1" in line for line in touched.tree)
        assert not any("bob" in line for line in touched.tree)
        assert impact.counts()["other services touched"] == 1
        assert impact.counts()["services without a full answer"] == 0
        assert next(touched.lines()).startswith("service orders: ")
        assert "service orders: " in impact_page(impact)
        monkeypatch.setattr(other_services, "LINES_MAX", 2)
        shortened = of(await home.corrections.impact(ANN), "orders").tree
        assert list(shortened) == [*touched.tree[:2], f"… and {len(touched.tree) - 2} events more"]


@virtual
async def test_a_service_to_which_commands_were_sent_is_asked() -> None:
    async with shop(new_bus()) as (orders, home):
        await orders.send(PlaceOrder("o-1", "ann", 5))
        await orders.send(OpenCustomer("ann", 10), causation_id="Order/o-1/1")
        await orders.send(OpenCustomer("bob", 10))
        impact = await orders.corrections.impact(Selection(events=["Order/o-1/1"]))
        touched = of(impact, "customers")
        assert (touched.asked, touched.problem, dict(touched.counts)) == (1, "", {"events": 1, "aggregates": 1})
        assert [line.split()[1] for line in touched.tree] == ["Customer/ann/1"]
        bobs = await home.corrections.impact(Selection(events=["Customer/bob/1"]))
        assert bobs.services == ()  # nobody takes its events in, and it sends no commands


@virtual
async def test_a_circle_of_services_ends() -> None:
    bus = new_bus()
    home = customers_with(bus, Credit, RemoteService("orders", events=[OrderPlaced]))
    orders = orders_with(bus, customers(), publishes=[OrderPlaced])
    async with running(home, orders):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        (there,) = (await home.corrections.impact(ANN)).services
        (back,) = there.services
        (again,) = back.services
        assert (there.name, there.counts["sagas"], there.problem) == ("orders", 1, "")
        assert (back.name, back.counts["sagas"], back.problem) == ("customers", 1, "")
        assert any("Customer/ann/2" in line for line in back.tree)
        assert (again.name, again.counts) == ("orders", {})
        assert again.problem == "not asked again: the question came through customers before"


@virtual
async def test_a_question_goes_through_a_limited_number_of_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_services, "SERVICES_DEEP", 1)
    bus = new_bus()
    orders = orders_with(bus, customers(), publishes=[OrderPlaced])
    credit = customers_with(
        bus, Credit, RemoteService("orders", events=[OrderPlaced]), name="credit", accepts=[OpenCustomer]
    )
    home = customers_with(bus)
    async with running(home, orders, credit):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        (there,) = (await home.corrections.impact(ANN)).services
        assert [(one.name, one.problem) for one in there.services] == [
            (name, "not asked: the question went through 1 service") for name in ("credit", "customers")
        ]


@virtual
async def test_a_service_that_is_away_did_not_answer() -> None:
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    async with running(home):
        async with running(orders):
            await home.send(OpenCustomer("ann", 10))
            await settled()
        impact = await home.corrections.impact(ANN)
        touched = of(impact, "orders")
        assert (touched.problem, touched.counts) == ("it is not on the bus, or does not know the question", {})
        assert list(touched.lines()) == [f"service orders did not answer: {touched.problem}"]
        assert impact.counts()["services without a full answer"] == 1
        assert impact.selected == 1


@virtual
async def test_a_service_without_the_question_did_not_answer() -> None:
    bus = new_bus()
    home = customers_with(bus)
    async with running(home), older_service(bus):
        await home.send(OpenCustomer("ann", 10))
        touched = of(await home.corrections.impact(ANN), "older")
        assert touched.problem == "it is not on the bus, or does not know the question"


@virtual
async def test_each_service_has_a_time_limit() -> None:
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    async with running(home, orders), older_service(bus, silent=True):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        loop = asyncio.get_running_loop()
        started = loop.time()
        impact = await home.corrections.impact(ANN, services_timeout_s=3.0)
        assert loop.time() - started == pytest.approx(3.0)
        assert of(impact, "older").problem == "no answer within 3 s"
        assert of(impact, "orders").counts["sagas"] == 1
        started = loop.time()
        await home.corrections.impact(ANN)
        assert loop.time() - started == pytest.approx(other_services.SERVICE_S)
        with pytest.raises(ConfigurationError, match="services_timeout_s"):
            await home.corrections.impact(ANN, services_timeout_s=-1)


@virtual
async def test_the_time_limit_of_a_service_includes_those_that_it_asks() -> None:
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers(), publishes=[OrderPlaced])
    async with running(home, orders), older_service(bus, of="orders", silent=True):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        touched = of(await home.corrections.impact(ANN), "orders")
        assert (touched.counts["sagas"], touched.problem) == (1, "")
        assert [(one.name, one.problem) for one in touched.services] == [("older", "no answer within 8.1 s")]


@virtual
async def test_no_question_takes_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "TIME_MAX_S", 2.0)
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers(), publishes=[OrderPlaced])
    async with running(home, orders), older_service(bus, of="orders", silent=True):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        started = asyncio.get_running_loop().time()
        touched = of(await home.corrections.impact(ANN, services_timeout_s=1_000), "orders")
        assert [one.problem for one in touched.services] == ["no answer within 1.8 s"]
        assert asyncio.get_running_loop().time() - started == pytest.approx(1.8)


@virtual
async def test_so_many_listeners_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LISTENERS_MAX", 1)
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    async with running(home), older_service(bus), running(orders):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        assert [one.name for one in (await home.corrections.impact(ANN)).services] == ["older"]


@virtual
async def test_a_question_fits_into_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_AROUND_BYTES", MemoryBus.largest_message - 20)
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    seen: list[BusMessage] = []
    async with running(home, orders):
        await open_bus(bus).subscribe(questions_to("orders", "*"), seen.append)
        for number in range(4):
            await home.send(OpenCustomer(f"c-{number}", 10))
        await settled()
        touched = of(await home.corrections.impact(Selection(types=[event_type_of(CustomerOpened)])), "orders")
        assert (touched.counts["sagas"], len(seen)) == (4, 4)
        assert len(touched.tree) == 20


@virtual
async def test_only_a_service_that_exchanges_something_with_this_one_gets_an_answer() -> None:
    bus = new_bus()
    home = customers_with(bus, accepts={OpenCustomer: ["web"]})
    orders = orders_with(bus, customers())
    async with running(home, orders):
        assert (await ask(bus, "web", "customers"))["refusal"] == ""
        assert (await ask(bus, "stranger", "customers"))["refusal"] == (
            "it does not answer stranger, with which it exchanges nothing"
        )
        assert (await ask(bus, "customers", "orders"))["refusal"] == ""


@virtual
async def test_what_is_no_question_is_refused_and_logged() -> None:
    bus = new_bus()
    async with running(customers_with(bus, accepts=[OpenCustomer])):
        with capture_logs() as logs:
            assert (await ask(bus, "web", "customers", about="weather"))["refusal"] == "it does not know the question"
            refusal = (await ask(bus, "web", "customers", content={"ids": 5}))["refusal"]
            await open_bus(bus).publish(questions_to("customers", "web"), b"{")
            await settled()
        assert refusal == "it failed with ValidationError: see its log"
        assert [one["event"] for one in logs] == ["question_failed", "question_unreadable"]


@virtual
async def test_more_questions_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "ANSWERS_MAX", 1)
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    async with running(home, orders):
        await home.send(OpenCustomer("ann", 10))
        await settled()
        impacts = await asyncio.gather(*(home.corrections.impact(ANN) for _ in range(3)))
        problems = sorted(of(one, "orders").problem for one in impacts)  # each reads its log before it asks
        assert problems == ["", *["it answers 1 questions already: ask again later"] * 2]


@virtual
async def test_many_events_are_asked_about_in_pages_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_services, "PAGE_IDS", 2)
    bus = new_bus()
    home, orders = customers_with(bus), orders_with(bus, customers())
    everything = Selection(types=[event_type_of(CustomerOpened)])
    async with running(home, orders):
        for number in range(5):
            await home.send(OpenCustomer(f"c-{number}", 10))
        await settled()
        touched = of(await home.corrections.impact(everything), "orders")
        assert (touched.asked, touched.problem) == (5, "")
        assert (touched.counts["sagas"], touched.counts["events of other services"]) == (5, 5)
        monkeypatch.setattr(other_services, "IDS_MAX", 3)
        touched = of(await home.corrections.impact(everything), "orders")
        assert touched.problem == "asked about the first 3 of 5 events; it answered about 3 of 5 events"
        assert touched.counts["sagas"] == 3


@virtual
async def test_a_client_is_not_asked() -> None:
    bus = new_bus()
    home = customers_with(bus, accepts=[OpenCustomer])
    async with running(home), Client(bus, [customers()]) as client:
        await client.send(OpenCustomer("ann", 10))
        await settled()
        assert (await home.corrections.impact(ANN)).services == ()


@over_nats
async def test_services_ask_each_other_over_nats() -> None:
    bus = shared_server_url()
    home = customers_with(bus, name="asking")
    orders = orders_with(bus, customers("asking"), name="asked")
    async with home, orders:
        await home.send(OpenCustomer("ann", 10))
        impact = await home.corrections.impact(ANN)
        while not any("aggregates" in one.counts for one in impact.services):
            await asyncio.sleep(0.02)
            impact = await home.corrections.impact(ANN)
        assert any("Order/gift-ann/1" in line for line in of(impact, "asked").tree)
        await orders.stop()
        assert of(await home.corrections.impact(ANN), "asked").problem == (
            "it is not on the bus, or does not know the question"
        )


@over_nats
async def test_without_its_bus_nobody_answers() -> None:
    nowhere = Service("orders", bus="nats://127.0.0.1:1")  # nothing listens on this port
    async with Runtime([Order, customers()], store=MemoryStore(), service=nowhere) as orders:
        await orders.send(PlaceOrder("o-1", "ann", 5))
        impact = await orders.corrections.impact(Selection(events=["Order/o-1/1"]))
        assert (impact.selected, of(impact, "customers").counts) == (1, {})
        assert "nats://127.0.0.1:1" in of(impact, "customers").problem


async def ask(bus: str, sender: str, service: str, *, about: str = "impact", content: object = None) -> dict[str, Any]:
    """Ask a service about its log, as whoever is on the bus can."""
    there = open_bus(bus)
    await there.open(sender, Watcher())
    replies: list[BusMessage] = []
    await there.subscribe(f"replies.{sender}", replies.append)
    question = {"about": about, "content": content or {"ids": ["a/b/1"], "path": [sender]}, "time_left_s": 5.0}
    await there.publish(questions_to(service, sender), as_json(question), f"replies.{sender}")
    await settled()
    await there.close()
    return dict(msgspec.json.decode(replies[0].data))
