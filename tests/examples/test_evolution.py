"""The log that version 1 of an application wrote, read and continued by versions 2 and 3."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from support.tables import run_on

from actorium import Aggregate, Runtime
from actorium.errors import UnreadableTypes
from actorium.examples.evolution import v1, v2, v3

T = TypeVar("T")


@pytest.fixture
def url(log_url: str) -> str:
    """A log that versions 1 and 2 wrote, one after the other."""

    async def write() -> None:
        async with Runtime([v1.Order], store=log_url) as runtime:
            await runtime.send(v1.PlaceOrder("o-1", "Alice", "teapot", 12.34))
            await runtime.send(v1.View("o-1", "Bob"))
            await runtime.send(v1.Ship("o-1"))
            await runtime.send(v1.PlaceOrder("o-2", "Bob", "cup", 0.1))
        async with Runtime([v2.Order], store=log_url) as runtime:
            await runtime.send(v2.Ship("o-2", "bicycle"))
            await runtime.send(v2.PlaceOrder("o-3", "Carol", "plate", 550))
            await runtime.send(v2.View("o-3", "Bob"))

    asyncio.run(write())
    return log_url


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def orders(url: str, order: type[Aggregate]) -> list[Any]:
    async with Runtime([order], store=url) as runtime:
        return [await runtime.get(order, id) for id in ("o-1", "o-2", "o-3")]


def rows(url: str) -> list[Any]:
    table = "log" if url.startswith("sqlite") else "events"
    return run(run_on(url, f"SELECT position, type, schema_version, payload FROM {table} ORDER BY position"))


def test_version_2_reads_what_version_1_wrote(url: str) -> None:
    first, second, third = run(orders(url, v2.Order))
    assert (first.customer, first.hellers, first.views, first.carrier) == ("Alice", 1234, 1, "post")
    assert (second.customer, second.hellers, second.carrier) == ("Bob", 10, "bicycle")
    assert (third.customer, third.hellers, third.views) == ("Carol", 550, 1)


def test_version_3_reads_what_both_wrote(url: str) -> None:
    first, second, third = run(orders(url, v3.Order))
    assert first == v3.Order("o-1", "Alice", [v3.Line("teapot", 1234)], "post")
    assert second == v3.Order("o-2", "Bob", [v3.Line("cup", 10)], "bicycle")
    assert third == v3.Order("o-3", "Carol", [v3.Line("plate", 550)])


def test_version_3_continues_where_the_others_stopped(url: str) -> None:
    async def go_on() -> Any:
        async with Runtime([v3.Order], store=url) as runtime:
            ack = await runtime.send(v3.AddLine("o-1", "saucer", 200))
            assert ack.version == 4  # versions count records, whatever these have become
            return await runtime.get(v3.Order, "o-1")

    assert run(go_on()).lines == [v3.Line("teapot", 1234), v3.Line("saucer", 200)]


def test_its_history_shows_old_events_in_current_form(url: str) -> None:
    async def tell() -> list[tuple[int, Any]]:
        async with Runtime([v3.Order], store=url) as runtime:
            return [(change.version, change.event) async for change in runtime.history(v3.Order, "o-1")]

    assert run(tell()) == [
        (1, v3.OrderPlaced("Alice")),
        (1, v3.LineAdded("teapot", 1234)),
        (3, v3.Shipped("post")),
    ]


def test_a_subscriber_sees_the_whole_log_in_current_form(url: str) -> None:
    async def follow() -> list[tuple[int, int, str]]:
        async with Runtime([v3.Order], store=url) as runtime:
            events = runtime.events()
            found = [await anext(events) for _ in range(7)]
            return [(one.position, one.part, type(one.event).__name__) for one in found]

    assert run(follow()) == [
        (1, 0, "OrderPlaced"),
        (1, 1, "LineAdded"),
        (3, 0, "Shipped"),
        (4, 0, "OrderPlaced"),
        (4, 1, "LineAdded"),
        (5, 0, "Shipped"),
        (6, 0, "OrderPlaced"),
    ]


def test_reading_rewrites_nothing(url: str) -> None:
    before = rows(url)
    run(orders(url, v3.Order))
    assert rows(url) == before
    assert before[0] == (1, "Placed", 1, '{"customer":"Alice","item":"teapot","price":12.34}')


@pytest.mark.parametrize("order", [v1.Order, v2.Order])
def test_an_older_version_rejects_what_a_newer_one_wrote(url: str, order: type[Aggregate]) -> None:
    async def write() -> None:
        async with Runtime([v3.Order], store=url) as runtime:
            await runtime.send(v3.PlaceOrder("o-4", "Dora"))

    run(write())
    with pytest.raises(UnreadableTypes, match=r"OrderPlaced \(schema version 3, 1 event, first in a stream"):
        run(orders(url, order))
