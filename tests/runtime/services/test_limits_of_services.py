"""What one service may ask of another at a time, and what happens at each limit."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from support.shop_parts import (
    OpenCustomer,
    ReserveCredit,
    customers,
)
from support.two_services import new_bus, shop
from support.virtual_time import settled, until, virtual

from actorium import Ack, Settings
from actorium.errors import (
    InvalidCommand,
    Overloaded,
)
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.services import Client, RemoteService


@virtual
async def test_a_command_that_cannot_be_carried_out_in_time_is_refused_there() -> None:
    settings = Settings(max_in_flight=1)
    async with shop(new_bus(), settings=settings) as (orders, home):
        home._engine.admission.in_flight += 1  # as if a command were held up
        began = asyncio.get_running_loop().time()
        with pytest.raises(Overloaded, match="no room became free in time"):
            await orders.send(OpenCustomer("c-1", 100), timeout_s=6.0)
        assert asyncio.get_running_loop().time() - began <= 6.0
        home._engine.admission.in_flight -= 1


@virtual
async def test_a_service_may_have_so_many_commands_here_and_no_more() -> None:
    async with shop(new_bus(), max_in_flight=3, settings=Settings(max_in_flight=1)) as (orders, home):
        home._engine.admission.in_flight += 1
        calls = [asyncio.create_task(orders.send(OpenCustomer(f"c-{n}", 1), timeout_s=600.0)) for n in range(5)]
        await until(lambda: sum(call.done() for call in calls) == 2)
        for call in calls:
            if call.done():
                with pytest.raises(Overloaded, match="customers carries out 3 commands of orders already"):
                    await call
        home._engine.admission.answered(1)
        done = [call for call in calls if not call.done()]
        assert len(await asyncio.gather(*done)) == 3


@virtual
async def test_a_service_may_send_so_many_commands_per_second() -> None:
    async with shop(new_bus(), rate_limit=10) as (orders, _):
        outcomes: Sequence[Any] = await asyncio.gather(
            *(orders.send(OpenCustomer(f"c-{n}", 1)) for n in range(15)), return_exceptions=True
        )
        refused = [one for one in outcomes if isinstance(one, Overloaded)]
        assert len(refused) == 5
        assert "more than 10 commands per second" in str(refused[0])
        assert 0 < refused[0].retry_after_s <= 0.1
        await asyncio.sleep(0.5)
        outcomes = await asyncio.gather(
            *(orders.send(OpenCustomer(f"d-{n}", 1)) for n in range(9)), return_exceptions=True
        )
        assert sum(isinstance(one, Ack) for one in outcomes) == 5


@virtual
async def test_each_service_may_have_limits_of_its_own() -> None:
    async def refused(limits: dict[str, Any], name: str) -> list[str]:
        bus = new_bus()
        async with shop(bus, **limits), Client(bus, [customers()], name=name) as client:
            sent: Sequence[Any] = await asyncio.gather(
                *(client.send(OpenCustomer(f"c-{n}", 1)) for n in range(6)), return_exceptions=True
            )
        return [str(one) for one in sent if isinstance(one, Overloaded)]

    rates: dict[str, Any] = {"rate_limit": {"slow": 2, "fast": 5}}
    assert len(await refused(rates, "slow")) == 4
    assert "more than 5 commands per second" in (await refused(rates, "fast"))[0]
    assert await refused(rates, "other") == []
    numbers: dict[str, Any] = {"max_in_flight": {"small": 1}}
    assert "carries out 1 command of small already" in (await refused(numbers, "small"))[0]
    assert await refused(numbers, "other") == []


@virtual
async def test_so_many_commands_to_a_service_may_be_unanswered() -> None:
    bus = new_bus()
    remote = RemoteService("customers", commands=[OpenCustomer], max_unanswered=2)
    async with shop(bus, settings=Settings(max_in_flight=1)) as (_, home), Client(bus, [remote]) as client:
        home._engine.admission.in_flight += 1  # as if a command were held up
        calls = [asyncio.create_task(client.send(OpenCustomer(f"c-{n}", 1), timeout_s=60.0)) for n in range(2)]
        await settled()
        with pytest.raises(Overloaded, match=r"customers has 2 commands unanswered \(the limit is 2, "):
            await client.send(OpenCustomer("c-2", 1), timeout_s=1.0)
        home._engine.admission.answered(1)
        await asyncio.gather(*calls)


@virtual
async def test_a_command_larger_than_a_message_is_refused_here() -> None:
    async with shop(new_bus()) as (orders, _):
        with pytest.raises(InvalidCommand, match="takes"):
            await orders.send(ReserveCredit("c-1", "x" * 1_048_576, 1))


@virtual
async def test_an_acknowledgement_larger_than_a_message_comes_without_its_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = new_bus()
    async with shop(bus) as (orders, home), Client(bus, [customers()]) as client:
        await orders.send(OpenCustomer("c-1", 100))
        text = "x" * 1_040_000
        await home.send(ReserveCredit("c-1", text, 1), command_id="large")
        monkeypatch.setattr(MemoryBus, "largest_message", 1_040_100)  # the command fits, with its events it does not
        ack = await client.send(ReserveCredit("c-1", text, 1), command_id="large")
        assert (ack.version, ack.duplicate) == (2, True)


@virtual
async def test_so_many_services_are_served_at_once_and_idle_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorium.runtime.services.door._GUESTS_MAX", 2)
    bus = new_bus()
    async with shop(bus, settings=Settings(max_in_flight=1)) as (_, home):
        for name in ("a", "b", "c"):
            async with Client(bus, [customers()], name=name) as client:
                await client.send(OpenCustomer(f"by {name}", 1))
        home._engine.admission.in_flight += 1
        async with (
            Client(bus, [customers()], name="d") as one,
            Client(bus, [customers()], name="e") as other,
            Client(bus, [customers()], name="f") as third,
        ):
            waiting = [asyncio.create_task(client.send(OpenCustomer(f"{id(client)}", 1))) for client in (one, other)]
            await settled()
            with pytest.raises(Overloaded, match="serves 2 services already"):
                await third.send(OpenCustomer("by f", 1))
            home._engine.admission.answered(1)
            await asyncio.gather(*waiting)
