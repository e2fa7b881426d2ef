"""A command to another service is answered as at home: the same acks, the same errors, once whatever happens."""

import asyncio
from contextlib import AsyncExitStack
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
    ReleaseCredit,
    ReserveCredit,
    customers,
)
from support.two_services import ACCEPTED, new_bus, shop
from support.virtual_time import settled, virtual

from actorium import Ack, Command, CommandContext, Next, Projection, Runtime, Settings
from actorium.errors import (
    AlreadyExists,
    CommandConflict,
    CommandFailed,
    CommandTimeout,
    ConfigurationError,
    InvalidCommand,
    NotAllowed,
    NotFound,
    Rejected,
    RuntimeClosed,
    ServiceUnavailable,
    WrongExpectedVersion,
)
from actorium.runtime.commands.derived_ids import DerivedId
from actorium.services import Client, RemoteService, Service
from actorium.store.memory import MemoryStore
from actorium.testing.nats_server import own_nats_server


@virtual
async def test_an_acknowledgement_is_the_one_of_the_other_service() -> None:
    async with shop(new_bus()) as (orders, home):
        ack = await orders.send(OpenCustomer("c-1", 100), command_id="open")
        assert ack == Ack("c-1", 1, 1, (CustomerOpened(100),), "open")
        assert (await home.get(Customer, "c-1")).limit == 100
        again = await orders.send(OpenCustomer("c-1", 100), command_id="open")
        assert again == msgspec.structs.replace(ack, duplicate=True)


@virtual
async def test_nobody_can_wait_here_for_the_projections_of_another_service() -> None:
    async with shop(new_bus()) as (orders, _):
        with pytest.raises(ConfigurationError, match="wait_for"):
            await orders.send(OpenCustomer("c-1", 100), wait_for=[Projection])
        with pytest.raises(ConfigurationError, match="no aggregate of this runtime handles OpenCustomer"):
            await orders.tell(OpenCustomer("c-1", 100))


@virtual
async def test_events_that_are_not_declared_are_left_out_of_an_acknowledgement() -> None:
    async with shop(new_bus()) as (orders, _):
        await orders.send(OpenCustomer("c-1", 100))
        await orders.send(ReserveCredit("c-1", "o-1", 10))
        ack = await orders.send(ReleaseCredit("c-1", "o-1"))
        assert (ack.version, ack.events) == (3, ())


@virtual
async def test_errors_are_the_ones_of_the_other_service() -> None:
    async with shop(new_bus()) as (orders, _):
        await orders.send(OpenCustomer("c-1", 100), command_id="open")
        with pytest.raises(Rejected, match="over the limit") as refused:
            await orders.send(ReserveCredit("c-1", "o-1", 101))
        assert refused.value.details == {"limit": 100}
        with pytest.raises(AlreadyExists):
            await orders.send(OpenCustomer("c-1", 5))
        with pytest.raises(NotFound):
            await orders.send(ReserveCredit("nobody", "o-1", 1))
        with pytest.raises(CommandConflict):
            await orders.send(ReserveCredit("c-1", "o-1", 1), command_id="open")
        with pytest.raises(WrongExpectedVersion):
            await orders.send(ReserveCredit("c-1", "o-1", 1), expected_version=7)
        with pytest.raises(InvalidCommand):
            await orders.send(ReserveCredit("", "o-1", 1))
        assert (await orders.send(ReserveCredit("c-1", "o-1", 1), expected_version=1)).version == 2


@virtual
async def test_what_is_not_accepted_is_not_allowed() -> None:
    async with shop(new_bus(), accepts={OpenCustomer: ["orders"], ReserveCredit: ["billing"]}) as (orders, _):
        with capture_logs():
            await settled()
        await orders.send(OpenCustomer("c-1", 100))
        for command in (ReserveCredit("c-1", "o-1", 1), ReleaseCredit("c-1", "o-1")):
            with pytest.raises(NotAllowed, match="does not accept"):
                await orders.send(command)


@virtual
async def test_the_door_refuses_what_a_sender_does_not_know_to_be_refused() -> None:
    bus = new_bus()
    service = Service("customers", bus=bus, accepts={ReserveCredit: ["billing"]})
    async with (
        Runtime([Customer], store=MemoryStore(), service=service),
        Client(bus, [customers()], name="orders") as client,
    ):
        await settled()
        client._link.peers["customers"].met([])  # as if the contracts had not been compared yet
        with pytest.raises(NotAllowed, match="does not accept OpenCustomer"):
            await client.send(OpenCustomer("c-1", 1))
        with pytest.raises(NotAllowed, match="does not accept ReserveCredit from orders"):
            await client.send(ReserveCredit("c-1", "o-1", 1))


@virtual
async def test_metadata_and_headers_arrive() -> None:
    async with shop(new_bus()) as (orders, home):
        metadata: dict[str, Any] = {"correlation_id": "flow", "causation_id": "Order/o-1/1", "headers": {"user": "u"}}
        await orders.send(OpenCustomer("c-1", 100), command_id="open", **metadata)
        recorded = await anext(aiter(home.events()))
        assert recorded.metadata.command_id == "open"
        assert recorded.metadata.correlation_id == "flow"
        assert recorded.metadata.causation_id == "orders:Order/o-1/1"
        assert recorded.metadata.headers == {"user": "u"}


@virtual
async def test_both_sides_middleware_sees_the_command() -> None:
    seen: list[tuple[str, str]] = []

    def noting(where: str) -> Any:
        async def note(context: CommandContext, following: Next) -> Ack:
            seen.append((where, type(context.command).__name__))
            if context.headers.get("user") == "nobody":
                raise PermissionError("who are you?")
            return await following(context)

        return note

    bus = new_bus()
    async with (
        Runtime(
            [Customer],
            store=MemoryStore(),
            middleware=[noting("there")],
            service=Service("customers", bus=bus, accepts=ACCEPTED),
        ),
        Runtime(
            [Order, customers()],
            store=MemoryStore(),
            middleware=[noting("here")],
            service=Service("orders", bus=bus),
        ) as orders,
    ):
        await orders.send(OpenCustomer("c-1", 100))
        assert seen == [("here", "OpenCustomer"), ("there", "OpenCustomer")]
        with pytest.raises(PermissionError):
            await orders.send(ReserveCredit("c-1", "o-1", 1), headers={"user": "nobody"})
        async with Client(bus, [customers()]) as client:
            with pytest.raises(CommandFailed, match="who are you"):
                await client.send(ReserveCredit("c-1", "o-1", 1), headers={"user": "nobody"})


@virtual
async def test_a_client_needs_no_log() -> None:
    bus = new_bus()
    async with shop(bus) as (_, home), Client(bus, [customers()]) as client:
        assert (await client.send(OpenCustomer("c-1", 100))).version == 1
        assert (await client.send(ReserveCredit("c-1", "o-1", 1))).events == (CreditReserved("o-1", 1),)
        assert (await home.get(Customer, "c-1")).reserved == {"o-1": 1}
        with pytest.raises(ConfigurationError, match="no service of this client handles Unknown"):
            await client.send(Unknown("x"))
    with pytest.raises(RuntimeClosed, match="not open"):
        await client.send(OpenCustomer("c-2", 100))
    with pytest.raises(ConfigurationError, match="<RemoteService customers> is given twice: put what is used of it in"):
        Client(bus, [customers(), RemoteService("customers", commands=[Unknown])])


class Unknown(Command):
    pass


@virtual
async def test_a_service_that_is_away_is_said_to_be_at_once() -> None:
    bus = new_bus()
    async with Client(bus, [customers()]) as client:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ServiceUnavailable, match="no process of customers") as away:
            await client.send(OpenCustomer("c-1", 100), command_id="open")
        assert asyncio.get_running_loop().time() == began
        assert (away.value.service, away.value.http_status) == ("customers", 503)
        async with shop(bus):
            assert not (await client.send(OpenCustomer("c-1", 100), command_id="open")).duplicate


@virtual
async def test_commands_of_one_id_from_two_services_are_two_commands_if_a_runtime_derived_it() -> None:
    bus = new_bus()
    async with (
        shop(bus) as (orders, home),
        Runtime([Order, customers()], store=MemoryStore(), service=Service("billing", bus=bus)) as billing,
    ):
        await orders.send(OpenCustomer("c-1", 100))
        for sender in (orders, billing, orders):
            await sender.send(ReserveCredit("c-1", "o-1", 1), command_id=DerivedId("~PlaceOrder/o-1/reserve/0"))
        ids = [change.metadata.command_id async for change in home.history(Customer, "c-1", after_version=1)]
        assert ids == ["~~orders/PlaceOrder/o-1/reserve/0", "~~billing/PlaceOrder/o-1/reserve/0"]


@virtual
async def test_a_command_can_be_submitted_for_another_service() -> None:
    bus = new_bus()
    async with Runtime([Order, customers()], store=MemoryStore(), service=Service("orders", bus=bus)) as orders:
        await orders.submit(OpenCustomer("c-1", 100), command_id="later")
        await asyncio.sleep(5.0)  # nobody is there
        assert (await orders.submissions.get("later")).status == "waiting"
        service = Service("customers", bus=bus, accepts=ACCEPTED)
        async with Runtime([Customer], store=MemoryStore(), service=service) as home:
            await asyncio.sleep(60.0)
            assert (await orders.submissions.get("later")).status == "done"
            assert (await home.get(Customer, "c-1")).limit == 100
            await orders.submit(OpenCustomer("c-2", 100), command_id="never", after_s=60.0)
            assert await orders.submissions.cancel("never", reason="changed my mind")
            with pytest.raises(CommandConflict, match="recorded as not done"):
                await orders.send(OpenCustomer("c-2", 100), command_id="never")


@virtual
async def test_stopping_answers_what_was_let_in_and_fails_what_waits() -> None:
    bus = new_bus()
    async with AsyncExitStack() as stack:
        orders, home = await stack.enter_async_context(shop(bus, settings=Settings(max_in_flight=1)))
        home._engine.admission.in_flight += 1
        waiting = asyncio.create_task(orders.send(OpenCustomer("c-1", 100), timeout_s=20.0))
        await settled()
        stopping = asyncio.create_task(home.stop())
        await settled()
        home._engine.admission.answered(1)
        assert (await waiting).version == 1
        await stopping
        with pytest.raises(ServiceUnavailable):
            await orders.send(OpenCustomer("c-2", 100))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Service("no spaces", bus="memory://x"), "1 to 64 letters"),
        (lambda: Service("orders", bus="memory://x", accepts=[Customer]), "is not a Command"),  # type: ignore[list-item]
        (lambda: Service("orders", bus="memory://x", publishes=[Customer]), "is not an Event"),  # type: ignore[list-item]
        (lambda: Service("orders", bus="memory://x", accepts={OpenCustomer: "orders"}), "a list of services"),
        (lambda: Service("orders", bus="memory://x", rate_limit=0), "rate_limit"),
        (lambda: Service("orders", bus="memory://x", max_in_flight=0), "max_in_flight"),
        (lambda: Service("orders", bus="memory://x", rate_limit={"web": -1}), "rate_limit"),
        (lambda: Service("orders", bus="memory://x", max_in_flight={"a b": 1}), "max_in_flight={…}: a service's name"),
        (lambda: RemoteService("c", max_unanswered=0), "max_unanswered=0"),
        (lambda: Service("orders", bus="memory://x", rate_limit="5"), "rate_limit='5'"),  # type: ignore[arg-type]
        (lambda: Service("orders", bus="memory://x", rate_limit=float("nan")), "rate_limit=nan"),
        (lambda: Service("orders", bus="memory://x", max_in_flight=1.5), "max_in_flight"),  # type: ignore[arg-type]
        (lambda: RemoteService("c", max_unanswered=None), "max_unanswered=None"),  # type: ignore[arg-type]
        (lambda: RemoteService("", commands=[OpenCustomer]), "1 to 64 letters"),
        (lambda: RemoteService("c", commands=[Customer]), "is not a Command"),  # type: ignore[list-item]
        (lambda: RemoteService("c", events=[OpenCustomer]), "is not an Event"),  # type: ignore[list-item]
        (lambda: RemoteService("c", start="here"), 'must be "beginning"'),  # type: ignore[arg-type]
        (lambda: Client("memory://x", ["customers"]), "RemoteService objects"),  # type: ignore[list-item]
        (lambda: Runtime([Customer, customers()], store=MemoryStore()), "both handle OpenCustomer"),
        (lambda: Runtime([Order, customers()], store=MemoryStore()), "without a service"),
        (lambda: Runtime([Order, customers(), RemoteService("customers")], store=MemoryStore()), "passed twice"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


@over_nats
async def test_over_nats_a_restart_of_the_server_costs_time_and_nothing_else() -> None:
    with own_nats_server() as server:
        async with shop(server.url(fsync="yes")) as (orders, home):
            await orders.send(OpenCustomer("c-1", 1_000_000))

            async def reserve(number: int) -> Ack:
                while True:
                    try:
                        command_id = f"reserve-{number}"
                        return await orders.send(
                            ReserveCredit("c-1", f"o-{number}", 1), command_id=command_id, timeout_s=2.0
                        )
                    except (ServiceUnavailable, CommandTimeout):
                        await asyncio.sleep(0.05)

            calls = [asyncio.create_task(reserve(number)) for number in range(100)]
            await asyncio.sleep(0)
            server.kill()
            server.start()
            acks = await asyncio.gather(*calls)
            assert sorted(ack.version for ack in acks) == [*range(2, 102)]
            assert len((await home.get(Customer, "c-1")).reserved) == 100


@over_nats
async def test_over_nats_a_service_without_a_process_is_unavailable_at_once() -> None:
    async with Client(shared_server_url(), [customers("nobody")]) as client:
        async with asyncio.timeout(5):
            with pytest.raises(ServiceUnavailable, match="no process of nobody"):
                await client.send(OpenCustomer("c-1", 1))


@over_nats
async def test_over_nats_frames_and_commands_keep_within_the_servers_limit() -> None:
    with own_nats_server(max_payload=900) as server, capture_logs() as lines:
        async with shop(server.url(fsync="yes")) as (orders, _):
            await asyncio.gather(*(orders.send(OpenCustomer(f"c-{n}", 100)) for n in range(100)))
            with pytest.raises(InvalidCommand, match="takes 3"):
                await orders.send(ReserveCredit("c-1", "x" * 3_000, 1))
    said = {line["event"]: line for line in lines}
    assert "frame_lost" not in said
    assert "may take 900" in said["contract_not_sent"]["reason"]


@virtual
async def test_an_acknowledgement_holds_the_events_only_if_its_sender_reads_some() -> None:
    bus = new_bus()
    async with (
        shop(bus) as (orders, _),
        Client(bus, [RemoteService("customers", commands=[OpenCustomer])]) as client,
    ):
        assert (await orders.send(OpenCustomer("c-1", 100))).events == (CustomerOpened(100),)
        assert (await client.send(OpenCustomer("c-2", 100))).events == ()
