"""Events between services: each published once, each taken in once, through restarts, rivals and losses."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support.nats_server import over_nats
from support.shop_parts import (
    CreditReserved,
    Customer,
    CustomerOpened,
    OpenCustomer,
    Order,
    PlaceOrder,
    ReserveCredit,
    customers,
)
from support.stores import PassedThrough
from support.virtual_time import settled, until, virtual

from actorium import (
    Aggregate,
    Event,
    EventStore,
    Projection,
    RecordedEvent,
    Retry,
    Runtime,
    Saga,
    Settings,
    on,
    query,
    react,
    starts,
)
from actorium.errors import ConfigurationError, ServiceUnavailable, StoreUnavailable
from actorium.runtime.bus.bus import Bus
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.runtime.bus.urls import open_bus
from actorium.runtime.services.events.batches import decode_batch
from actorium.runtime.services.subjects import events_of
from actorium.services import RemoteService, Service
from actorium.store.event_store import AppendBatch, Appended
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource
from actorium.testing.nats_server import own_nats_server
from actorium.types import Metadata

PUBLISHED = [CustomerOpened, CreditReserved]


class Limits(Projection):
    """What each customer may owe, from another service's events."""

    limits: dict[str, int] = {}

    @on
    def opened(self, event: CustomerOpened, recorded: RecordedEvent[CustomerOpened]) -> None:
        self.limits = {**self.limits, recorded.stream_id: event.limit}

    @query
    def all(self) -> dict[str, int]:
        return self.limits


class Welcome(Saga):
    @starts(correlate=lambda recorded: recorded.stream_id)
    def begin(self, event: CustomerOpened) -> PlaceOrder:
        return PlaceOrder(f"gift-{self.id}", self.id, 1)


def home(bus: str | Bus, store: EventStore | None = None) -> Runtime:
    service = Service("customers", bus=bus, publishes=PUBLISHED)
    return Runtime([Customer], store=store or MemoryStore(), service=service)


def orders(
    bus: str | Bus, *parts: object, store: EventStore | None = None, remote: RemoteService | None = None
) -> Runtime:
    some: list[object] = [Order, *parts, remote or customers()]
    return Runtime(some, store=store or MemoryStore(), service=Service("orders", bus=bus))  # type: ignore[arg-type]


def new_bus() -> MemoryBus:
    return MemoryBus(SystemSource().new_id())


def another(bus: MemoryBus) -> MemoryBus:
    return MemoryBus(bus.describe().removeprefix("memory://"))


async def taken_in(runtime: Runtime) -> list[tuple[str, Event]]:
    """What a runtime has recorded of other services' events."""
    found: list[tuple[str, Event]] = []
    last = runtime.statistics().position
    async for one in runtime.events():
        if one.stream_type == "customers":
            found.append((one.stream_id, one.event))
        if one.position >= last:
            break
    return found


@virtual
async def test_another_services_events_feed_projections_reactions_and_sagas() -> None:
    bus = new_bus()
    seen: list[tuple[str, str]] = []

    @react(on_replay="run")
    async def note(event: CreditReserved, recorded: RecordedEvent[CreditReserved]) -> None:
        seen.append((recorded.stream_id, event.order))

    async with home(bus) as there, orders(another(bus), Limits, Welcome, note) as here:
        await there.send(OpenCustomer("c-1", 100), correlation_id="flow", headers={"user": "u"})
        await there.send(ReserveCredit("c-1", "o-1", 5))
        await settled()
        assert await here.query(Limits.all) == {"c-1": 100}
        assert seen == [("c-1", "o-1")]
        assert (await here.get(Order, "gift-c-1")).status == "placed"
        recorded = await anext(aiter(here.events(types=[CustomerOpened])))
        assert recorded.stream_type == "customers"
        assert recorded.metadata == Metadata(
            "~~inbox customers/Customer/c-1/1", "flow", "customers:Customer/c-1/1", {"user": "u"}
        )
        assert {one.stream_type async for one in here.causes(recorded.event_id)} == {"Welcome"}


@virtual
async def test_what_existed_before_is_taken_in_too_unless_it_is_not_wanted() -> None:
    bus = new_bus()
    async with home(bus) as there:
        for number in range(3):
            await there.send(OpenCustomer(f"c-{number}", number))
        await settled()
        now = RemoteService("customers", events=PUBLISHED, start="now")
        async with orders(another(bus), Limits) as here, orders(another(bus), Limits, remote=now) as late:
            await settled()
            assert await here.query(Limits.all) == {"c-0": 0, "c-1": 1, "c-2": 2}
            assert await late.query(Limits.all) == {}
            await there.send(OpenCustomer("c-3", 3))
            await settled()
            assert await late.query(Limits.all) == {"c-3": 3}


@virtual
async def test_restarts_neither_skip_nor_repeat() -> None:
    bus = new_bus()
    there_store, here_store = MemoryStore(), MemoryStore()
    for round in range(3):
        async with home(another(bus), there_store) as there, orders(another(bus), store=here_store) as here:
            for number in range(5):
                await there.send(OpenCustomer(f"c-{round}-{number}", number))
            await settled()
            names = [stream for stream, _ in await taken_in(here)]
            assert names == [f"c-{r}-{n}" for r in range(round + 1) for n in range(5)]
    entries = await another(bus).read(events_of("customers"), 0)
    numbers = [n for one in entries for n in range(decode_batch(one.data).first, decode_batch(one.data).last + 1)]
    assert numbers == [*range(1, 16)]


class TroubledBus(MemoryBus):
    """A bus that writes an entry and then loses the confirmation, or refuses it, while it is told to."""

    trouble = ""

    async def append(self, stream: str, data: bytes, *, after: int) -> int:
        if self.trouble == "before":
            raise ServiceUnavailable("away")
        sequence = await super().append(stream, data, after=after)
        if self.trouble == "after":
            raise ServiceUnavailable("no answer")
        return sequence


@virtual
@pytest.mark.parametrize("trouble", ["before", "after"])
async def test_a_lost_confirmation_neither_skips_nor_repeats(trouble: str) -> None:
    name = SystemSource().new_id()
    bus = TroubledBus(name)
    async with home(bus) as there, orders(f"memory://{name}") as here:
        for number in range(6):
            bus.trouble = trouble if number % 2 else ""
            await there.send(OpenCustomer(f"c-{number}", number))
            await asyncio.sleep(1.0)
        bus.trouble = ""
        publisher = there.processors[there._service]
        await until(lambda: here.statistics().position >= 6 and publisher.statistics().state == "running")
        await settled()
        assert [event for _, event in await taken_in(here)] == [CustomerOpened(number) for number in range(6)]


@virtual
async def test_a_rival_publisher_of_the_same_log_repeats_nothing() -> None:
    bus = new_bus()
    store = MemoryStore()
    async with home(bus, store) as there:
        await there.send(OpenCustomer("c-1", 1))
        await settled()
        publisher = there.processors[there._service]
        await publisher.reset()  # as if it knew nothing
        await there.send(OpenCustomer("c-2", 2))
        await settled()
    entries = await bus.read(events_of("customers"), 0)
    ids = [event.id for one in entries for event in decode_batch(one.data).events]
    assert ids == ["Customer/c-1/1", "Customer/c-2/1"]


@virtual
async def test_a_stream_that_lost_its_newest_entries_gets_them_again() -> None:
    bus = new_bus()
    there_store, here_store = MemoryStore(), MemoryStore()
    async with home(another(bus), there_store) as there, orders(another(bus), store=here_store) as here:
        for number in range(4):
            await there.send(OpenCustomer(f"c-{number}", number))
            await settled()
        assert len(await taken_in(here)) == 4
    bus._hub.streams[events_of("customers")] = bus._hub.streams[events_of("customers")][:1]
    with capture_logs() as lines:
        async with home(another(bus), there_store) as there, orders(another(bus), store=here_store) as here:
            await there.send(OpenCustomer("c-4", 4))
            await settled()
            await asyncio.sleep(5.0)
            assert [event for _, event in await taken_in(here)] == [CustomerOpened(number) for number in range(5)]
    assert [line["event"] for line in lines if line["event"] == "published_events_lost"]
    entries = await bus.read(events_of("customers"), 0)
    ids = [event.id for one in entries for event in decode_batch(one.data).events]
    assert ids == [f"Customer/c-{number}/1" for number in range(5)]


@virtual
async def test_events_that_the_stream_has_forgotten_are_said_to_be_missing() -> None:
    class ForgetfulBus(MemoryBus):
        async def read(self, stream: str, after: int, limit: int = 100):  # type: ignore[no-untyped-def]
            return [one for one in await super().read(stream, after, limit) if one.sequence > 1]

    bus = new_bus()
    async with home(bus) as there:
        for number in range(2):
            await there.send(OpenCustomer(f"c-{number}", number))
            await settled()
        forgetful = ForgetfulBus(bus.describe().removeprefix("memory://"))
        async with orders(forgetful) as here:
            await settled()
            (remote,) = here.catalog.remotes
            statistics = here.processors[remote].statistics()
            assert statistics.state == "failed"
            assert "events 1 to 1 of customers are no longer in its stream" in statistics.error


class Renamed(Event):
    event_type = "CustomerOpened"

    limit: str


@virtual
async def test_an_event_that_does_not_fit_is_parked_alone() -> None:
    bus = new_bus()
    remote = RemoteService("customers", events=[Renamed, CreditReserved])
    with capture_logs():
        async with home(bus) as there, orders(another(bus), remote=remote) as here:
            for name in ("c-1", "c-2"):
                await there.send(OpenCustomer(name, 100))
            await there.send(ReserveCredit("c-1", "o-1", 5))
            await settled()
            letters = here.dead_letters.list()
            assert [(letter.stream.id, letter.event_type) for letter in letters] == [
                ("c-1", "CustomerOpened"),
                ("c-2", "CustomerOpened"),
            ]
            assert await here.dead_letters.discard(letters[0], reason="too old")
            await settled()
            assert await taken_in(here) == [("c-1", CreditReserved("o-1", 5))]


async def reserved(bus: MemoryBus, amounts: list[int]) -> None:
    """Have a service publish one reservation of one customer for each amount."""
    async with home(bus) as there:
        await there.send(OpenCustomer("c-1", 1_000_000))
        for amount in amounts:
            await there.send(ReserveCredit("c-1", "o" * amount, amount))
        await until(lambda: there.statistics().processors[0].lag_events == 0)


@virtual
async def test_many_events_of_one_stream_share_a_commit() -> None:
    bus = new_bus()
    await reserved(bus, [*range(1, 301)])
    async with orders(another(bus)) as here:
        await until(lambda: here.statistics().position == 301)
        assert [len(event.order) for _, event in await taken_in(here) if isinstance(event, CreditReserved)] == [
            *range(1, 301)
        ]
        assert here.statistics().writer.batches < 10


@virtual
async def test_an_event_that_cannot_be_recorded_holds_back_those_behind_it() -> None:
    bus = new_bus()
    await reserved(bus, [1, 2, 2_000, 3, 4])
    settings = Settings(max_payload_bytes=1_500, handler_retry=Retry(attempts=1))
    with capture_logs():
        async with Runtime(
            [Order, customers()], store=MemoryStore(), settings=settings, service=Service("orders", bus=another(bus))
        ) as here:
            await settled()
            assert await taken_in(here) == [
                ("c-1", CustomerOpened(1_000_000)),
                ("c-1", CreditReserved("o", 1)),
                ("c-1", CreditReserved("oo", 2)),
            ]
            (letter,) = here.dead_letters.list()
            assert "max_payload_bytes" in letter.error
            assert await here.dead_letters.discard(letter, reason="too large")
            assert [event for _, event in await taken_in(here)][3:] == [
                CreditReserved("ooo", 3),
                CreditReserved("oooo", 4),
            ]


@virtual
async def test_a_commit_that_fails_keeps_the_order_of_a_stream() -> None:
    class Failing(PassedThrough):
        left = 1

        async def append(self, batch: AppendBatch) -> Appended:
            if len(batch.appends) > 1 and Failing.left:
                Failing.left -= 1
                raise StoreUnavailable("the disk is away")
            return await super().append(batch)

    bus = new_bus()
    await reserved(bus, [*range(1, 31)])
    with capture_logs():
        async with orders(another(bus), store=Failing()) as here:
            await asyncio.sleep(30)
            found = [event for _, event in await taken_in(here)]
    assert found == [CustomerOpened(1_000_000), *(CreditReserved("o" * n, n) for n in range(1, 31))]
    assert Failing.left == 0


@virtual
async def test_two_services_with_one_name_are_told_apart() -> None:
    bus = new_bus()
    with capture_logs():
        async with home(bus) as one, home(another(bus)) as other:
            for number in range(3):
                await one.send(OpenCustomer(f"c-{number}", number))
            await settled()
            await other.send(OpenCustomer("c-x", 1))
            await settled()
            statistics = other.processors[other._service].statistics()
            assert "another service has the name 'customers'" in statistics.error


def test_a_service_and_a_stream_cannot_have_one_name() -> None:
    class Clash(Aggregate):
        stream_type = "customers"

    with pytest.raises(ConfigurationError, match="both keep streams under the name 'customers'"):
        orders("memory://x", Clash)


@over_nats
async def test_over_jetstream_each_event_is_published_and_taken_in_once() -> None:
    with own_nats_server() as server:
        url = server.url(fsync="yes")
        async with home(url) as there, orders(url, Limits) as here:
            await there.send(OpenCustomer("c-0", 1_000_000))
            for number in range(300):
                await there.send(OpenCustomer(f"c-{number + 1}", number))
                if number == 100:
                    server.kill()
                    server.start()
            async with asyncio.timeout(60):
                while len(await here.query(Limits.all)) < 301:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        bus = open_bus(url)

        class Nobody:
            def connected(self) -> None:
                pass

            def lost(self, what: str) -> None:
                pass

        await bus.open("reader", Nobody())
        entries = await bus.read(events_of("customers"), 0, 1_000)
        ids = [event.id for one in entries for event in decode_batch(one.data).events]
        assert sorted(ids) == sorted(f"Customer/c-{number}/1" for number in range(301))
        await bus.close()
