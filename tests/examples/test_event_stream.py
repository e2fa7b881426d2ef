"""The FastAPI example's stream of the log: it resumes where the client was, and ends with the runtime or the client."""

import asyncio
import json
from collections.abc import Callable, MutableMapping
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from support.tables import run_on

from actorium import Runtime
from actorium.examples.fastapi_app.account import Deposit, OpenAccount, Withdraw
from actorium.examples.fastapi_app.app import create_app

pytestmark = pytest.mark.asyncio

Serve = Callable[[Any], Any]


class EventSource:
    """A browser's EventSource on an application's /events, over ASGI."""

    def __init__(self, app: Any, query: str = "", **headers: str) -> None:
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/events",
            "raw_path": b"/events",
            "root_path": "",
            "scheme": "http",
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "client": ("client.test", 1),
            "server": ("bank.test", 80),
        }
        self._to_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._request: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "EventSource":
        self._to_app.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self._request = asyncio.create_task(self._app(self._scope, self._to_app.get, self._from_app.put))
        start = await self._from_app.get()
        assert start["status"] == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.leave()

    def __aiter__(self) -> "EventSource":
        return self

    async def __anext__(self) -> dict[str, Any]:
        """Return the next event; end when the server ends the stream."""
        while True:
            message = await self._from_app.get()
            if not message.get("more_body"):
                raise StopAsyncIteration
            fields = dict(line.split(": ", 1) for line in message["body"].decode().splitlines() if line)
            if "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}

    async def leave(self) -> None:
        """Close the connection and wait until the application is done with the request."""
        self._to_app.put_nowait({"type": "http.disconnect"})
        if self._request is not None:
            await self._request


async def open_alice(app: Any, *, balance: int = 0) -> Runtime:
    """Open an account without HTTP; return the application's runtime."""
    runtime: Runtime = app.state.actorium
    await runtime.send(OpenAccount("alice", owner="Alice"))
    if balance:
        await runtime.send(Deposit("alice", amount=balance))
    return runtime


async def test_the_stream_sends_past_and_new_events(serve: Serve) -> None:
    app = create_app("memory://")
    async with serve(app):
        runtime = await open_alice(app)
        async with EventSource(app) as source:
            opened = await anext(source)
            assert (opened["id"], opened["event"], opened["data"]["event"]["owner"]) == ("1", "AccountOpened", "Alice")
            await runtime.send(Deposit("alice", amount=100), command_id="salary")
            deposited = await anext(source)
            assert (deposited["id"], deposited["event"], deposited["data"]["event"]["amount"]) == (
                "2",
                "Deposited",
                100,
            )
            assert deposited["data"]["correlation_id"] == "salary"


@pytest.mark.parametrize(
    ("query", "headers"),
    [("after=2", {}), ("", {"last_event_id": "2"}), ("after=0", {"last_event_id": "2"})],
    ids=["after", "Last-Event-ID", "Last-Event-ID wins"],
)
async def test_the_stream_resumes_after_the_last_seen_event(serve: Serve, query: str, headers: dict[str, str]) -> None:
    app = create_app("memory://")
    async with serve(app):
        runtime = await open_alice(app, balance=100)
        await runtime.send(Withdraw("alice", amount=30))
        async with EventSource(app, query, **headers) as source:
            assert (await anext(source))["id"] == "3"
            await runtime.send(Withdraw("alice", amount=30))
            assert (await anext(source))["id"] == "4"


async def test_the_stream_ends_when_the_runtime_stops(serve: Serve) -> None:
    app = create_app("memory://")
    async with serve(app) as server:
        await open_alice(app, balance=100)
        async with EventSource(app) as source:
            assert [(await anext(source))["id"] for _ in range(2)] == ["1", "2"]
            await server.stop()
            assert [event async for event in source] == []


async def test_a_stream_ends_with_the_problem_if_an_event_cannot_be_read(serve: Serve, log_url: str) -> None:
    app = create_app(log_url)
    async with serve(app):
        await open_alice(app, balance=7)
    await run_on(log_url, "UPDATE events SET payload = replace(payload, '7', '8') WHERE position = 2")
    app = create_app(log_url)
    async with serve(app):
        with capture_logs() as lines:
            async with EventSource(app) as source:
                received = [event async for event in source]
    assert [event["event"] for event in received] == ["AccountOpened", "problem"]
    assert received[1]["data"] == {"type": "/problems/CorruptEvent", "title": "The server failed", "status": 500}
    assert [line["event"] for line in lines] == ["stream_failed"]


async def test_a_client_leaving_an_idle_stream_leaves_nothing_behind(serve: Serve) -> None:
    app = create_app("memory://")
    async with serve(app):
        before = asyncio.all_tasks()
        async with EventSource(app):
            assert asyncio.all_tasks() - before
        assert asyncio.all_tasks() - before == set()


async def test_a_stream_requested_after_the_stop_is_503(serve: Serve) -> None:
    app = create_app("memory://")
    async with serve(app) as server:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bank.test")
        await server.stop()
        async with client:
            answer = await client.get("/events")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/RuntimeClosed")
