"""`actorium services`, `schedules` and `outlets`, on a running application."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.command_line import output
from support.market import market
from support.served import Served, served
from support.shop_parts import Order, PlaceOrder

from actorium import Runtime
from actorium.services import Service
from actorium.store.memory import MemoryStore


@pytest.fixture(scope="module")
def app(module_log_url: str) -> Iterator[tuple[Served, list[str]]]:
    """The running market, and the option that reaches it."""
    with served(*market(module_log_url)) as running:
        yield running, ["--at", running.at]


async def ordered(runtime: Runtime, *orders: str) -> int:
    for order in orders:
        ack = await runtime.send(PlaceOrder(order, "alice", 1))
    return ack.position


def report(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code, out, err = output(capsys, *words, "--json", "-")
    assert code == 0, err
    return json.loads(out)


def test_services_are_shown(app: tuple[Served, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    _, at = app
    code, out, _ = output(capsys, "services", *at)
    assert code == 0
    assert out.startswith("orders on memory://")
    assert "customers  closed" in out
    (peer,) = report(capsys, "services", *at)["peers"]
    assert peer["commands"] == ["OpenCustomer", "ReleaseCredit", "ReserveCredit"]


def test_schedules_are_listed_paused_resumed_and_run(
    app: tuple[Served, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, at = app
    assert "every 3600 s" in output(capsys, "schedules", "list", *at)[1]
    for action in ("pause", "run-now", "resume"):
        assert output(capsys, "schedules", action, "nightly", *at, "--reason", "a test")[0] == 0
        (row,) = report(capsys, "schedules", "list", *at)["schedules"]
        assert row["paused"] == (action != "resume")
    assert output(capsys, "schedules", "resume", "nightly", *at, "--reason", "a test")[0] == 1


def test_held_events_are_listed_and_recalled(app: tuple[Served, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    running, at = app
    position = running.do(ordered(running.runtime, "o-1", "o-2"))
    (outlet,) = (one for one in report(capsys, "outlets", "list", *at)["channels"] if one["kind"] == "outlet")
    code, out, _ = output(capsys, "outlets", "held", outlet["processor"], *at)
    assert code == 0
    assert "Order<o-2>" in out
    words = ("outlets", "recall", outlet["processor"], str(position), *at, "--reason", "a wrong price")
    assert output(capsys, *words)[0] == 0
    code, out, _ = output(capsys, "dead-letters", "list", *at)
    assert "discarded: " in out
    assert "a wrong price" in out


def test_another_log_under_the_name_of_the_service_is_a_problem(
    app: tuple[Served, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    running, at = app
    running.do(ordered(running.runtime, "o-3"))

    async def meet() -> None:
        mine = running.runtime.statistics
        here = mine().service
        assert here is not None
        async with Runtime([Order], store=MemoryStore(), service=Service("orders", bus=here.bus)):
            while not (here := mine().service) or not here.problem:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    running.do(meet())
    code, _, err = output(capsys, "services", *at)
    assert code == 1
    assert "two logs are on the bus as orders: log " in err
