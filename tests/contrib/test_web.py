"""The adapters for FastAPI and Starlette: headers, errors, limits, health, and generated requests."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from support.bank import Add, FailToDecide, Tally
from support.read_models import Sums, Switch

from actorium import ConfigurationError, Rejected, Runtime, Settings
from actorium.console import control_socket
from actorium.contrib import starlette as web
from actorium.contrib.fastapi import After, Receipt, Running, Send, WebOptions, install, results
from actorium.contrib.web.problems import problem_of
from actorium.contrib.web.requests import wishes_of
from actorium.errors import (
    ActoriumError,
    CommandFailed,
    InvalidCommand,
    Overloaded,
    StoreUnavailable,
    WrongExpectedVersion,
)
from actorium.examples.fastapi_app.app import create_app
from actorium.health import ready
from actorium.store.names import StreamName

pytestmark = pytest.mark.asyncio


class Amount(BaseModel):
    amount: Annotated[int, Field(ge=1, le=100)] = 1
    needs: int = 0


def fastapi_app(options: WebOptions | None = None) -> FastAPI:
    app = FastAPI()
    install(app, Runtime([Tally, Sums], store="memory://"), options)

    @app.post("/tallies/{id}")
    async def add(id: str, body: Amount, send: Send) -> Receipt:
        return await send(Add(id, amount=body.amount, needs=body.needs), wait_for=[Sums])

    @app.get("/tallies/{id}")
    async def of(id: str, runtime: Running, after: After) -> int:
        return await runtime.query(Sums.of, id, after=after, timeout_s=0.05)

    @app.get("/watch", response_class=EventSourceResponse)
    async def watch(runtime: Running) -> AsyncIterator[ServerSentEvent]:
        async for one in results(runtime.watch(Sums.count), event="count"):
            yield one

    return app


def starlette_app(options: WebOptions | None = None) -> Starlette:
    async def add(request: Request) -> Response:
        return await web.send(request, Add(request.path_params["id"]), wait_for=[Sums], status=201)

    async def of(request: Request) -> Response:
        runtime = web.runtime_of(request)
        return JSONResponse(await runtime.query(Sums.of, request.path_params["id"], after=web.position(request)))

    async def body(request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    path = "/tallies/{id}"
    app = Starlette(
        routes=[Route(path, add, methods=["POST"]), Route(path, of), Route("/body", body, methods=["POST"])]
    )
    web.install(app, Runtime([Tally, Sums], store="memory://"), options)
    return app


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application that runs."""
    Switch.off()
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://w") as client:
        yield client


@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
async def test_a_command_is_sent_once_with_the_headers_of_its_request(app_of: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    options = WebOptions(headers=lambda request: {"user": request.headers["x-user"]})
    app = app_of(options)
    async with client_of(app) as client:
        headers = {
            "Idempotency-Key": "k1",
            "Prefer": "respond-soon, wait=5",
            "X-Correlation-ID": "order-7",
            "X-User": "ann",
            "traceparent": trace,
            "tracestate": "a=b",
        }
        first = await client.post("/tallies/t", json={"amount": 1}, headers=headers)
        again = await client.post("/tallies/t", json={"amount": 1}, headers=headers)
        assert (first.json(), again.json()) == ({"id": "t", "version": 1, "position": 1},) * 2
        assert (first.headers["etag"], first.headers["actorium-position"]) == ('"1"', "1")
        assert (first.headers["preference-applied"], first.headers["x-correlation-id"]) == ("wait=5", "order-7")
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        recorded = await anext(app.state.actorium.events())
    metadata = recorded.metadata
    assert (metadata.command_id, metadata.correlation_id) == ("k1", "order-7")
    assert metadata.headers == {"user": "ann", "traceparent": trace, "tracestate": "a=b"}


@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
async def test_a_version_that_has_changed_is_412(app_of: Any) -> None:
    async with client_of(app_of()) as client:
        await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k1"})
        answer = await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k2", "If-Match": '"7"'})
    assert answer.status_code == 412
    assert (answer.json()["expected_version"], answer.json()["version"]) == (7, 1)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "value"),
    [("Idempotency-Key", ""), ("Idempotency-Key", "k" * 201), ("If-Match", "*"), ("X-Correlation-ID", "a\tb")],
)
@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
async def test_a_malformed_header_is_422(app_of: Any, name: str, value: str) -> None:
    async with client_of(app_of()) as client:
        answer = await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k", name: value})
        assert (await client.get("/health/live")).status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (422, 422)


@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
async def test_a_read_contains_the_position_that_it_names(app_of: Any) -> None:
    async with client_of(app_of()) as client:
        done = await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k"})
        position = {"Actorium-Position": done.headers["actorium-position"]}
        assert (await client.get("/tallies/t", headers=position)).json() == 1
        ahead = await client.get("/tallies/t", headers={"Actorium-Position": "99"})
        malformed = await client.get("/tallies/t", headers={"Actorium-Position": "-1"})
    assert (ahead.status_code, ahead.json()["type"]) == (422, "/problems/PositionBeyondLog")
    assert malformed.status_code == 422


async def test_a_malformed_trace_is_left_out_and_a_wait_is_bounded() -> None:
    base = {"idempotency-key": "k"}
    assert wishes_of({**base, "traceparent": "nonsense", "tracestate": "a=b"}, wait_max_s=9).trace == {}
    assert wishes_of({**base, "prefer": "wait=100000"}, wait_max_s=9).timeout_s == 9
    assert wishes_of({**base, "prefer": "wait=0"}, wait_max_s=9).timeout_s == 0.001
    assert wishes_of({**base, "prefer": "awaited=3"}, wait_max_s=9).timeout_s is None
    with pytest.raises(InvalidCommand, match="Idempotency-Key"):
        wishes_of({}, wait_max_s=9)


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (Rejected("too much", balance=3), 409, {"reason": "too much", "details": {"balance": 3}}),
        (WrongExpectedVersion(StreamName("T", "t"), expected=1, actual=2), 412, {"expected_version": 1, "version": 2}),
        (Overloaded("later", retry_after_s=7.2), 503, {}),
        (StoreUnavailable("/secret/bank.db is gone"), 503, {}),
        (CommandFailed("a bug in /secret"), 500, {}),
        (ConfigurationError("a class in /secret"), 500, {}),
    ],
)
async def test_errors_are_problems_that_hide_the_servers_own(
    error: ActoriumError, status: int, members: dict[str, Any]
) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.body["status"]) == (status, status)
    assert members.items() <= problem.body.items()
    assert ("detail" in problem.body) is (status < 500)
    assert "secret" not in str(problem)
    assert ("Retry-After" in problem.headers) is (status == 503)


async def test_titles_can_be_changed_and_the_nearest_class_counts() -> None:
    app = fastapi_app(WebOptions(titles={Rejected: "No"}))
    async with client_of(app) as client:
        answer = await client.post("/tallies/t", json={"needs": 50}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["title"]) == (409, "No")


@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
async def test_a_body_that_is_too_long_is_413(app_of: Any) -> None:
    app = app_of(WebOptions(body_bytes_max=100))
    path = "/body" if app_of is starlette_app else "/tallies/t"
    async with client_of(app) as client:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        answer = await client.post(path, content=b'{"amount":1}'.ljust(101), headers=headers)
        exact = await client.post(path, content=b'{"amount":1}'.ljust(100), headers=headers)
    assert (answer.status_code, answer.json()["type"], exact.status_code) == (413, "/problems/BodyTooLong", 200)


async def test_the_own_lifespan_of_an_application_surrounds_the_runtime() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        said.append("opened")
        yield {"resource": "a pool"}
        with pytest.raises(ActoriumError):
            app.state.actorium.statistics()
        said.append("closed")

    app = FastAPI(lifespan=own)
    install(app, Runtime([Tally], store="memory://"))
    async with app.router.lifespan_context(app) as state:
        assert state == {"resource": "a pool"}
        app.state.actorium.statistics()
    assert said == ["opened", "closed"]


@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
async def test_the_commands_of_operators_reach_an_application_while_it_runs(app_of: Any, tmp_path: Path) -> None:
    place = tmp_path / "shop.sock"
    app = app_of(WebOptions(while_running=[partial(control_socket, path=place)]))
    async with client_of(app):
        assert place.is_socket()
        app.state.actorium.statistics()
    assert not place.exists()


async def test_health_says_why_an_application_is_not_ready() -> None:
    Switch.off()
    Switch.raises.add(1)
    runtime = Runtime([Tally, Sums], store="memory://", settings=Settings(max_parked=1, poll_s=0.01))
    assert not (await ready(runtime)).ok
    async with runtime:
        assert (await ready(runtime)).ok
        processor = runtime.processors[Sums]
        for number in range(2):
            await runtime.send(Add(f"t{number}"))
        async with asyncio.timeout(30):
            while processor.statistics().state != "full":  # noqa: ASYNC110  its state has no event
                await asyncio.sleep(0)
        health = await ready(runtime)
        assert not health.ok
        assert health.reasons == (f"{processor.name} is full: {processor.statistics().error}",)
        Switch.off()
        await processor.retry()
        processor.pause()
        await runtime.send(Add("t"))
        assert (await ready(runtime)).ok
        (reason,) = (await ready(runtime, lag_s_max=-1)).reasons
        assert "behind the log" in reason


async def test_results_of_a_watch_are_streamed() -> None:
    app = fastapi_app()
    async with client_of(app) as client:
        stream = results(app.state.actorium.watch(Sums.count), event="count")
        first = await anext(stream)
        await client.post("/tallies/t", json={}, headers={"Idempotency-Key": "k"})
        second = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    assert [(one.event, one.data) for one in (first, second)] == [("count", 0), ("count", 1)]


class Served:
    """The example in a real server, on a thread of its own."""

    def __init__(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(create_app("memory://"), log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def served() -> Iterator[str]:
    server = Served()
    yield server.url
    server.stop()


async def test_no_generated_request_makes_the_example_fail(served: str, tmp_path: Path) -> None:
    """Schemathesis makes requests from the OpenAPI document, valid and invalid ones."""
    program = [sys.executable, "-m", "schemathesis.cli", "run", f"{served}/openapi.json"]
    limits = ["--checks", "not_a_server_error", "--max-examples", "5", "--seed", "1", "--exclude-path", "/events"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*program, *limits],
        cwd=tmp_path,  # it leaves a folder behind
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "5 selected" in done.stdout, done.stdout[-3000:]


async def test_a_bug_in_a_handler_is_500_without_its_text() -> None:
    app = FastAPI()
    install(app, Runtime([Tally], store="memory://"))

    @app.post("/fail/{id}")
    async def fail(id: str, send: Send) -> Receipt:
        return await send(FailToDecide(id))

    async with client_of(app) as client:
        answer = await client.post("/fail/t", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 500
    assert "detail" not in answer.json()
