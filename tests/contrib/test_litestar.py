"""The adapter for Litestar: headers, errors, limits, health and streams, as in the other frameworks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Response, asgi, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import ServerSentEvent
from litestar.types import Receive, Scope, Send
from prometheus_client import CollectorRegistry
from support.bank import Add, FailToDecide, Tally
from support.read_models import Sums, Switch

from actorium import Event, Rejected, Runtime
from actorium.console import control_socket
from actorium.contrib.litestar import ActoriumPlugin, CommandReceipt, CommandSender, WebOptions, events, results
from actorium.contrib.prometheus import Prometheus
from actorium.errors import RuntimeClosed
from actorium.runtime.log.subscriptions import Subscription

pytestmark = pytest.mark.asyncio


class Amount(msgspec.Struct):
    amount: int = 1
    needs: int = 0


@post("/tallies/{id:str}")
async def add(
    id: FromPath[str], data: JSONBody[Amount], send: NamedDependency[CommandSender]
) -> Response[CommandReceipt]:
    return await send(Add(id, amount=data.amount, needs=data.needs), wait_for=[Sums])


@post("/fail/{id:str}")
async def fail(id: FromPath[str], send: NamedDependency[CommandSender]) -> Response[CommandReceipt]:
    return await send(FailToDecide(id))


@get("/tallies/{id:str}")
async def total(id: FromPath[str], runtime: NamedDependency[Runtime], position: NamedDependency[int]) -> int:
    return await runtime.query(Sums.of, id, after=position, timeout_s=0.05)


@get("/events")
async def follow(log: NamedDependency[Subscription[Event]]) -> ServerSentEvent:
    return events(log)


def application(options: WebOptions | None = None, **more: Any) -> Litestar:
    runtime = Runtime([Tally, Sums], store="memory://")
    return Litestar([add, fail, total, follow], plugins=[ActoriumPlugin(runtime, options)], **more)


@asynccontextmanager
async def client_of(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    Switch.off()
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://w") as client:
        yield client


async def test_a_command_is_sent_once_with_the_headers_of_its_request() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app = application(WebOptions(headers=lambda request: {"user": request.headers["x-user"]}))
    async with client_of(app) as client:
        headers = {
            "Idempotency-Key": "k1",
            "Prefer": "respond-soon, wait=5",
            "X-Correlation-ID": "order-7",
            "X-User": "ann",
            "traceparent": trace,
        }
        first = await client.post("/tallies/t", json={"amount": 1}, headers=headers)
        again = await client.post("/tallies/t", json={"amount": 1}, headers=headers)
        assert (first.status_code, first.json()) == (201, {"id": "t", "version": 1, "position": 1})
        assert again.json() == first.json()
        assert (first.headers["etag"], first.headers["actorium-position"]) == ('"1"', "1")
        assert (first.headers["preference-applied"], first.headers["x-correlation-id"]) == ("wait=5", "order-7")
        assert again.headers["idempotent-replayed"] == "true"
        metadata = (await anext(app.state["actorium"].events())).metadata
    assert (metadata.command_id, metadata.correlation_id) == ("k1", "order-7")
    assert metadata.headers == {"user": "ann", "traceparent": trace}


@pytest.mark.parametrize(
    ("headers", "body", "status", "type"),
    [
        ({"If-Match": '"7"'}, {}, 412, "WrongExpectedVersion"),
        ({"If-Match": "*"}, {}, 422, "InvalidCommand"),
        ({"Idempotency-Key": ""}, {}, 422, "InvalidCommand"),
        ({"X-Correlation-ID": "a\tb"}, {}, 422, "InvalidCommand"),
        ({}, {"needs": 50}, 409, "Rejected"),
        ({}, {"amount": "many"}, 400, "RequestValidationError"),
    ],
)
async def test_errors_are_problems(headers: dict[str, str], body: Any, status: int, type: str) -> None:
    async with client_of(application()) as client:
        await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k0"})
        answer = await client.post("/tallies/t", json=body, headers={"Idempotency-Key": "k", **headers})
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{type}")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bug_is_500_without_its_text_and_a_missing_page_a_problem() -> None:
    async with client_of(application(WebOptions(titles={Rejected: "No"}))) as client:
        answer = await client.post("/fail/t", headers={"Idempotency-Key": "k"})
        assert answer.status_code == 500
        assert "detail" not in answer.json()
        missing = await client.get("/nowhere")
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/HTTPException")
        rejected = await client.post("/tallies/t", json={"needs": 50}, headers={"Idempotency-Key": "k2"})
        assert rejected.json()["title"] == "No"


async def test_a_read_contains_the_position_that_it_names() -> None:
    async with client_of(application()) as client:
        done = await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k"})
        position = {"Actorium-Position": done.headers["actorium-position"]}
        assert (await client.get("/tallies/t", headers=position)).json() == 1
        ahead = await client.get("/tallies/t", headers={"Actorium-Position": "99"})
        malformed = await client.get("/tallies/t", headers={"Actorium-Position": "-1"})
    assert (ahead.status_code, ahead.json()["type"]) == (422, "/problems/PositionBeyondLog")
    assert malformed.status_code == 422


async def test_a_body_that_is_too_long_is_413() -> None:
    async with client_of(application(WebOptions(body_bytes_max=100))) as client:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        answer = await client.post("/tallies/t", content=b'{"amount":1}'.ljust(101), headers=headers)
        exact = await client.post("/tallies/t", content=b'{"amount":1}'.ljust(100), headers=headers)
    assert (answer.status_code, answer.json()["type"], exact.status_code) == (413, "/problems/BodyTooLong", 201)


async def test_the_own_lifespan_surrounds_the_runtime_and_health_is_served() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def own(app: Litestar) -> AsyncIterator[None]:
        said.append("opened")
        yield
        with pytest.raises(RuntimeClosed):
            app.state["actorium"].statistics()
        said.append("closed")

    app = application(lifespan=[own])
    async with client_of(app) as client:
        for name in ("live", "ready"):
            assert (await client.get(f"/health/{name}")).json() == {"status": "ok", "reasons": []}
    assert said == ["opened", "closed"]
    async with client_of(application(WebOptions(health=""))) as client:
        assert (await client.get("/health/live")).status_code == 404


async def test_the_commands_of_operators_reach_an_application_while_it_runs(tmp_path: Path) -> None:
    place = tmp_path / "shop.sock"
    async with client_of(application(WebOptions(while_running=[partial(control_socket, path=place)]))):
        assert place.is_socket()
    assert not place.exists()


async def test_events_and_results_are_streamed() -> None:
    app = application()
    async with client_of(app) as client:
        await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k"})
        assert (await client.get("/events?after=7")).status_code == 422
        assert (await client.get("/events", headers={"Last-Event-ID": "x"})).status_code == 422
        runtime = app.state["actorium"]
        stream = events(runtime.events()).iterator
        assert b"event: Added" in await anext(stream)  # type: ignore[arg-type,operator]
        watched = results(runtime.watch(Sums.count), event="count").iterator
        assert b"event: count" in await anext(watched)  # type: ignore[arg-type,operator]


async def test_metrics_are_mounted_beside_it() -> None:
    prometheus = Prometheus(CollectorRegistry())
    runtime = Runtime([Tally], store="memory://", instruments=[prometheus])
    prometheus.follow(runtime)
    scrape = prometheus.app

    @asgi("/metrics", is_mount=True, copy_scope=True)
    async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
        await scrape(scope, receive, send)

    async with client_of(Litestar([metrics], plugins=[ActoriumPlugin(runtime)])) as client:
        assert "actorium_up 1.0" in (await client.get("/metrics/")).text
