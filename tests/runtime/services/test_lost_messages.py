"""Messages between services are lost or come twice: a command takes effect once, and not after it was refused."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support.shop_parts import Customer, OpenCustomer, Order, ReleaseCredit, ReserveCredit, customers
from support.two_services import ACCEPTED, DeafBus
from support.virtual_time import settled, virtual

from actorium import Runtime
from actorium.errors import CommandTimeout, Rejected, ServiceUnavailable
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.runtime.services import door
from actorium.runtime.services.door import COPIES_KNOWN
from actorium.services import Client, Service
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource


@virtual
async def test_a_lost_reply_is_asked_for_again_under_the_same_id() -> None:
    name = SystemSource().new_id()
    home_bus = DeafBus(name)
    service = Service("customers", bus=home_bus, accepts=ACCEPTED)
    async with (
        Runtime([Customer], store=MemoryStore(), service=service) as home,
        Client(f"memory://{name}", [customers()]) as client,
    ):
        await settled()
        home_bus.deaf = True
        sending = asyncio.create_task(client.send(OpenCustomer("c-1", 100), timeout_s=9.0))
        await asyncio.sleep(1.0)
        home_bus.deaf = False
        ack = await sending
        assert (ack.version, ack.duplicate) == (1, True)
        assert home.statistics().position == 1


@virtual
async def test_a_service_that_never_answers_opens_the_circuit() -> None:
    name = SystemSource().new_id()
    home_bus = DeafBus(name)
    service = Service("customers", bus=home_bus, accepts=ACCEPTED)
    async with (
        Runtime([Customer], store=MemoryStore(), service=service),
        Client(f"memory://{name}", [customers()], timeout_s=3.0) as client,
    ):
        await settled()
        home_bus.deaf = True
        with capture_logs() as lines:
            for number in range(5):
                with pytest.raises(CommandTimeout) as late:
                    await client.send(OpenCustomer(f"c-{number}", 100), command_id=f"open-{number}")
                assert late.value.command_id == f"open-{number}"
            with pytest.raises(ServiceUnavailable, match="did not answer 5 commands in a row") as refused:
                await client.send(OpenCustomer("c-9", 100))
            assert 0 < refused.value.retry_after_s <= 1.0
            await asyncio.sleep(1.1)
            one, other = await asyncio.gather(
                *(client.send(OpenCustomer(f"d-{n}", 1)) for n in range(2)), return_exceptions=True
            )
            assert isinstance(one, CommandTimeout), "one command tries the circuit"
            assert isinstance(other, ServiceUnavailable), "and only one"
            home_bus.deaf = False
            await asyncio.sleep(2.1)
            assert (await client.send(OpenCustomer("c-0", 100), command_id="open-0")).duplicate
            await client.send(OpenCustomer("e-1", 1))
        events = [line["event"] for line in lines if line["event"].startswith("circuit")]
        assert events == ["circuit_opened", "circuit_closed"]


class EchoingBus(MemoryBus):
    """A bus that delivers everything that one side has sent once more when asked."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sent: list[tuple[str, bytes, str]] = []

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        self.sent.append((subject, data, reply))
        await super().publish(subject, data, reply)

    async def echo(self) -> None:
        for message in [*self.sent]:
            await super().publish(*message)


@pytest.mark.parametrize(("known", "reserved"), [(COPIES_KNOWN, {}), (0, {"o-2": 50})])
@virtual
async def test_a_copy_of_a_refused_command_has_no_effect_while_it_is_known(
    known: int, reserved: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "COPIES_KNOWN", known)
    name = SystemSource().new_id()
    bus = EchoingBus(name)
    service = Service("customers", bus=MemoryBus(name), accepts=ACCEPTED)
    async with (
        Runtime([Customer], store=MemoryStore(), service=service) as home,
        Runtime([Order, customers()], store=MemoryStore(), service=Service("orders", bus=bus)) as orders,
    ):
        await orders.send(OpenCustomer("c-1", 100))
        await orders.send(ReserveCredit("c-1", "o-1", 100))
        with pytest.raises(Rejected):
            await orders.send(ReserveCredit("c-1", "o-2", 50))
        await orders.send(ReleaseCredit("c-1", "o-1"))
        await bus.echo()
        await settled()
        assert (await home.get(Customer, "c-1")).reserved == reserved
