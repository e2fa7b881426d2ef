"""Contracts: what does not fit is found when two services meet, and named on both sides."""

from typing import Any, Literal

import msgspec
import pytest
from structlog.testing import capture_logs
from support.shop_parts import Customer, CustomerOpened, OpenCustomer, Order, ReserveCredit
from support.virtual_time import settled, virtual

from actorium import Command, Event, Runtime
from actorium.errors import ConfigurationError, NotAllowed
from actorium.runtime.services.contracts import contract_of, misfits, problems_between
from actorium.services import RemoteService, Service
from actorium.store.memory import MemoryStore
from actorium.store.source import SystemSource


def message(**fields: Any) -> dict[str, Any]:
    """The schema of a command with these fields; a tuple gives a default."""
    described = [(name, *kind) if isinstance(kind, tuple) else (name, kind) for name, kind in fields.items()]
    return msgspec.json.schema(msgspec.defstruct("Sent", described))


class Part(msgspec.Struct):
    size: int


@pytest.mark.parametrize(
    ("sent", "taken", "said"),
    [
        (message(a=int), message(a=int), None),
        (message(a=int), message(a=float), None),
        (message(a=int), message(a=int | None), None),
        (message(a=int), message(a=Any), None),
        (message(a=int), message(a=int, b=(int, 0)), None),
        (message(a=int, b=(int, 0)), message(a=int), None),
        (message(a=list[Part]), message(a=list[Part]), None),
        (message(a=int), message(a=str), ".a: integer at orders, string at customers"),
        (message(a=int | None), message(a=int), ".a: null at orders, integer at customers"),
        (message(a=int), message(a=int, b=int), ".b: customers requires it, orders does not have it"),
        (message(a=int, b=int), message(a=int), ".b: orders gives it, customers does not have it"),
        (message(a=list[int]), message(a=list[str]), ".a[]: integer at orders, string at customers"),
        (message(a=dict[str, int]), message(a=dict[str, str]), ".a{}: integer at orders, string at customers"),
        (message(a=float), message(a=int), ".a: number at orders, integer at customers"),
    ],
)
def test_a_value_fits_or_the_field_is_named(sent: dict[str, Any], taken: dict[str, Any], said: str | None) -> None:
    assert misfits(sent, taken, "orders", "customers") == ([] if said is None else [said])


def test_a_reader_of_events_may_leave_fields_out() -> None:
    assert misfits(message(a=int, b=int), message(a=int), "customers", "orders", drops=True) == []


def test_literals_are_compared_value_by_value() -> None:
    small, large = message(a=Literal["x"]), message(a=Literal["x", "y"])
    assert misfits(small, large, "orders", "customers") == []
    assert misfits(large, small, "orders", "customers") == [".a: orders may give ['y'], customers does not take it"]
    assert misfits(small, message(a=str), "orders", "customers") == []


def test_what_is_not_offered_is_named() -> None:
    offers = Service("customers", bus="memory://x", accepts={OpenCustomer: ["billing"]})
    uses = RemoteService("customers", commands=[OpenCustomer, ReserveCredit], events=[CustomerOpened])
    problems = problems_between(contract_of(None, "orders", [uses]), contract_of(offers, "customers", []))
    assert [one.reason for one in problems] == [
        "customers does not accept OpenCustomer from orders",
        "customers does not accept ReserveCredit",
        "customers does not publish CustomerOpened",
    ]


def test_a_service_accepts_what_its_aggregates_handle() -> None:
    service = Service("customers", bus="memory://x", accepts=[OpenCustomer, ReserveCredit])
    Runtime([Customer], store=MemoryStore(), service=service)
    with pytest.raises(
        ConfigurationError, match="<Service customers> accepts OpenCustomer, which no aggregate of this"
    ):
        Runtime([Order], store=MemoryStore(), service=service)
    elsewhere = RemoteService("others", commands=[OpenCustomer, ReserveCredit])
    with pytest.raises(ConfigurationError, match="accepts OpenCustomer, which no aggregate"):
        Runtime([Order, elsewhere], store=MemoryStore(), service=service)


def test_a_name_is_not_a_service_and_not_a_node() -> None:
    wrong: Any = "customers"
    with pytest.raises(ConfigurationError, match=r"Runtime\(service='customers'\): must be a Service"):
        Runtime([Customer], store=MemoryStore(), service=wrong)
    with pytest.raises(ConfigurationError, match=r"Runtime\(cluster='customers'\): must be a Cluster"):
        Runtime([Customer], store=MemoryStore(), cluster=wrong)


class OldReserve(Command):
    command_type = "ReserveCredit"

    order: str
    amount: str


class OldOpened(Event):
    event_type = "CustomerOpened"

    limit: int
    currency: str


@virtual
async def test_a_changed_field_is_named_on_both_sides_and_the_command_is_not_sent() -> None:
    bus = f"memory://{SystemSource().new_id()}"
    remote = RemoteService("customers", commands=[OldReserve, OpenCustomer], events=[OldOpened])
    offered = Service("customers", bus=bus, accepts=[OpenCustomer, ReserveCredit], publishes=[CustomerOpened])
    with capture_logs() as lines:
        async with (
            Runtime([Order, remote], store=MemoryStore(), service=Service("orders", bus=bus)) as orders,
            Runtime([Customer], store=MemoryStore(), service=offered),
        ):
            await settled()
            with pytest.raises(
                ConfigurationError, match=r"ReserveCredit\.amount: string at orders, integer at customers"
            ):
                await orders.send(OldReserve("c-1", "o-1", "30"))
            assert (await orders.send(OpenCustomer("c-1", 100))).version == 1
    found = {line["service"]: line["problems"] for line in lines if line["event"] == "contracts_differ"}
    wanted = [
        "ReserveCredit.amount: string at orders, integer at customers",
        "CustomerOpened.currency: orders requires it, customers does not have it",
    ]
    assert found == {"customers": wanted, "orders": wanted}


@virtual
async def test_a_deployment_that_fits_again_is_noticed() -> None:
    bus = f"memory://{SystemSource().new_id()}"
    remote = RemoteService("customers", commands=[OpenCustomer])
    async with Runtime([Order, remote], store=MemoryStore(), service=Service("orders", bus=bus)) as orders:
        async with Runtime([Customer], store=MemoryStore(), service=Service("customers", bus=bus)):
            await settled()
            with pytest.raises(NotAllowed, match="customers does not accept OpenCustomer"):
                await orders.send(OpenCustomer("c-1", 100))
        fixed = Service("customers", bus=bus, accepts=[OpenCustomer])
        async with Runtime([Customer], store=MemoryStore(), service=fixed):
            await settled()
            assert (await orders.send(OpenCustomer("c-1", 100))).version == 1
