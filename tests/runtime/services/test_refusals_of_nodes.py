"""A service of two nodes, one of which holds the first copy of a command: a refusal that is told is final."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from support.nodes import nodes
from support.shop_parts import CreditReserved, Customer, OpenCustomer, ReleaseCredit, ReserveCredit, customers
from support.two_services import ACCEPTED
from support.virtual_time import settled, virtual

from actorium import Runtime
from actorium.errors import CommitUnknown, Rejected
from actorium.runtime.bus.bus import BusMessage, BusSubscription, Take
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.services import Client, Service
from actorium.store.source import SystemSource


class Street:
    """Holds the next command back at the door that it has reached, when it is told to."""

    def __init__(self) -> None:
        self.name = SystemSource().new_id()
        self.is_holding = False
        self._held: list[Callable[[], None]] = []
        self.before_void: Callable[[], Awaitable[None]] | None = None

    def take(self, take: Take, message: BusMessage) -> None:
        if self.is_holding and message.subject.startswith("actorium.asks."):
            self.is_holding = False
            self._held.append(partial(take, message))
        else:
            take(message)

    async def let_go(self) -> None:
        """Let the command that was held back go on."""
        (held,) = self._held
        held()
        await settled()


class StreetBus(MemoryBus):
    """The bus of a street."""

    def __init__(self, street: Street) -> None:
        super().__init__(street.name)
        self._street = street

    async def subscribe(self, subject: str, take: Take, *, group: str = "") -> BusSubscription:
        return await super().subscribe(subject, partial(self._street.take, take), group=group)

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        if self._street.before_void is not None and b"actorium.void" in data:
            await self._street.before_void()
        await super().publish(subject, data, reply)


@asynccontextmanager
async def town() -> AsyncIterator[tuple[Street, Client, Runtime]]:
    """Two nodes with a customer whose credit is used up, and a client."""
    street = Street()

    def service() -> Service:
        return Service("customers", bus=StreetBus(street), accepts=ACCEPTED)

    async with (
        nodes("a", "b", parts=[Customer], service=service) as group,
        Client(StreetBus(street), [customers()]) as client,
    ):
        await settled()
        await client.send(OpenCustomer("c-1", 100))
        await client.send(ReserveCredit("c-1", "o-1", 100))
        street.is_holding = True
        yield street, client, group["a"]


async def reserved(node: Runtime) -> dict[str, int]:
    return (await node.get(Customer, "c-1")).reserved


async def types_in(node: Runtime) -> list[str]:
    return [one.type for one in await node.store.read_log(0, 1_000)]


@virtual
async def test_a_refused_command_takes_its_generated_id_if_another_node_may_hold_a_copy() -> None:
    async with town() as (street, client, node):
        with pytest.raises(Rejected, match="over the limit"):
            await client.send(ReserveCredit("c-1", "o-2", 50), timeout_s=9.0)
        assert (await types_in(node))[-1] == "command.voided"
        await client.send(ReleaseCredit("c-1", "o-1"))
        await street.let_go()
        assert await reserved(node) == {}


@virtual
async def test_so_does_a_command_that_had_nothing_to_do() -> None:
    async with town() as (street, client, node):
        ack = await client.send(ReleaseCredit("c-1", "o-2"), timeout_s=9.0)
        assert (ack.events, ack.version) == ((), 2)
        await client.send(ReleaseCredit("c-1", "o-1"))
        await client.send(ReserveCredit("c-1", "o-2", 100))
        await street.let_go()
        assert await reserved(node) == {"o-2": 100}


@virtual
async def test_the_outcome_is_unknown_if_the_caller_may_send_the_command_again_under_its_id() -> None:
    async with town() as (street, client, node):
        again = "was refused .Rejected: over the limit.*another may still take effect.*command_id='r-1'"
        with pytest.raises(CommitUnknown, match=again):
            await client.send(ReserveCredit("c-1", "o-2", 50), command_id="r-1", timeout_s=9.0)
        assert "command.voided" not in await types_in(node)
        await client.send(ReleaseCredit("c-1", "o-1"))
        assert (await client.send(ReserveCredit("c-1", "o-2", 50), command_id="r-1")).events
        await street.let_go()
        assert await reserved(node) == {"o-2": 50}


@virtual
async def test_a_copy_that_takes_effect_before_its_id_is_taken_is_acknowledged() -> None:
    async with town() as (street, client, node):

        async def let_go() -> None:
            street.before_void = None
            await node.send(ReleaseCredit("c-1", "o-1"))
            await street.let_go()

        street.before_void = let_go
        ack = await client.send(ReserveCredit("c-1", "o-2", 50), timeout_s=9.0)
        assert (ack.events, ack.duplicate) == ((CreditReserved("o-2", 50),), True)
        assert await reserved(node) == {"o-2": 50}


@virtual
async def test_the_outcome_is_unknown_if_the_id_cannot_be_taken_in_time() -> None:
    async with town() as (street, client, _):

        async def never() -> None:
            await asyncio.Event().wait()

        street.before_void = never
        began = asyncio.get_running_loop().time()
        with pytest.raises(CommitUnknown, match="another may still take effect") as unknown:
            await client.send(ReserveCredit("c-1", "o-2", 50), timeout_s=9.0)
        assert "had no reply within" in str(unknown.value.__cause__)
        assert asyncio.get_running_loop().time() - began == pytest.approx(9.0)
