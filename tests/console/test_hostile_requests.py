"""Requests that want to break a console: each is refused, nothing is recorded, and the next request is answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from support.consoles import ConsoleClient, client_of, console_of
from support.market import market
from support.shop_parts import PlaceOrder
from support.virtual_time import settled, virtual

from actorium import Runtime
from actorium.console import Console, Operator
from actorium.console.server import SmallServer
from actorium.testing import LoopSource

OPERATE = "operate-token-of-16"
SCRIPT = "<script>alert(1)</script>"
REASON = {"reason": "x"}


@asynccontextmanager
async def open_market(**headers: str) -> AsyncIterator[tuple[Runtime, ConsoleClient, httpx.AsyncClient]]:
    """Run both services with a console, and open two clients of it: an operator, and a bare one with these headers."""
    orders, home = market(source=LoopSource())
    async with home, orders:
        console = console_of(orders)
        transport = httpx.ASGITransport(app=console)
        bare = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)
        async with client_of(console, OPERATE) as client, bare:
            await settled()
            yield orders, client, bare


@virtual
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": f"Basic {OPERATE}"}, 401),
        ({"authorization": f"Bearer {OPERATE}x"}, 401),
        ({"authorization": f"Bearer {OPERATE}", "origin": "https://evil.example"}, 403),
        ({"authorization": f"Bearer {OPERATE}", "origin": "null"}, 403),
        ({"authorization": f"Bearer {OPERATE}", "origin": "http://localhost.evil.example"}, 403),
        ({"authorization": f"Bearer {OPERATE}", "sec-fetch-site": "cross-site"}, 403),
        ({"authorization": f"Bearer {OPERATE}", "host": "evil.example"}, 403),
        ({"cookie": f"token={OPERATE}"}, 401),
    ],
)
async def test_an_action_needs_a_token_and_the_consoles_own_page(headers: dict[str, str], status: int) -> None:
    async with open_market(**headers) as (orders, client, bare):
        position = orders.statistics().position
        for path in ("schedules/pause", "outlets/recall", "sagas/retry", "cases/open", "values/event"):
            answer = await bare.post(f"/api/{path}", json={"names": ["nightly"], **REASON})
            assert answer.status_code == status, path
        assert orders.statistics().position == position
        await client.get("services")


@virtual
@pytest.mark.parametrize("role", ["view", "operate"])
async def test_no_role_is_raised_by_what_a_request_says(role: Any) -> None:
    orders, home = market(source=LoopSource())
    tokens = {"a-token-of-a-person": Operator("pat", role), "another-token-of-16": Operator("cora", "correct")}
    async with home, orders:
        position = orders.statistics().position
        console = Console(orders, actions=True, tokens=tokens)
        async with client_of(console, "a-token-of-a-person", **{"x-role": "correct", "x-operator": "cora"}) as client:
            selection = {"events": ["Order/o-1/1"]}
            body: dict[str, Any] = {"id": "c", "selection": selection, **REASON, "role": "correct", "by": "cora"}
            assert (await client.post("cases/open", 403, **body))["error"] == "NotAllowed"
            if role == "view":
                await client.post("schedules/pause", 403, names=["nightly"], operator="cora", **REASON)
        assert orders.statistics().position == position


@virtual
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("events", {"limit": "999999999999999999999"}),
        ("events", {"limit": "-1"}),
        ("events", {"before": "9" * 40}),
        ("held", {"processor": "x", "limit": "501"}),
        ("held", {"processor": "x", "after": "-5"}),
        ("stream", {"type": "Order", "id": "x", "limit": "101"}),
        ("state", {"type": "Order", "id": "x", "version": "0"}),
        ("timers", {"after": "[[[["}),
        ("timers", {"after": "[" * 4_000}),
        ("sagas", {"idle_s": "nan"}),
        ("sagas", {"idle_s": "1e400"}),
        ("events", {"since": "9999-99-99"}),
    ],
)
async def test_numbers_out_of_range_are_refused(path: str, query: dict[str, str]) -> None:
    async with open_market() as (_, client, _bare):
        assert (await client.get(path, 422, **query))["error"] == "InvalidCommand"


@virtual
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"names": "nightly", "reason": "x"}',
        b'{"names": [], "reason": "x"}',
        b'{"names": ["nightly"], "reason": ""}',
        b'{"names": ["nightly"]}',
        json.dumps({"names": ["nightly"], "reason": "x" * 2_001}).encode(),
        json.dumps({"names": ["x"] * 101, "reason": "x"}).encode(),
        b'{"names": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
async def test_a_body_that_is_no_action_changes_nothing(body: bytes) -> None:
    headers = {"authorization": f"Bearer {OPERATE}", "content-type": "application/json"}
    async with open_market(**headers) as (orders, client, bare):
        position = orders.statistics().position
        answer = await bare.post("/api/schedules/pause", content=body)
        assert (answer.status_code, answer.json()["error"]) == (422, "InvalidCommand")
        assert orders.statistics().position == position
        assert not (await client.get("schedules"))["schedules"][0]["paused"]


@virtual
@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/%2e%2e/console.py", "/pages/../../console.py", "//etc/passwd", "/static/", "/console.py"],
)
async def test_no_path_leads_out_of_the_pages_files(path: str) -> None:
    async with open_market() as (_, _client, bare):
        answer = await bare.get(httpx.URL("http://localhost", raw_path=path.encode()))
        assert answer.status_code == 404


@virtual
async def test_markup_in_ids_names_and_reasons_is_data() -> None:
    async with open_market() as (orders, client, bare):
        await orders.send(PlaceOrder(SCRIPT, SCRIPT, 1))
        await settled()
        held = await client.get("held", processor="outlet warehouse")
        assert held["events"][0]["stream_id"] == SCRIPT
        report = await client.post("schedules/pause", names=["nightly", SCRIPT], reason=SCRIPT)
        assert report["outcomes"][1]["target"] == SCRIPT
        page = await bare.get("/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.asyncio
async def test_a_live_stream_that_is_held_open_ends_when_the_application_stops(log_url: str) -> None:
    orders, home = market(log_url)
    async with home, orders:
        serving = SmallServer(console_of(orders))
        server = await asyncio.start_server(serving.connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        head = f"GET /api/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OPERATE}\r\n\r\n".encode()
        readers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            readers.append((reader, writer))
        for reader, _ in readers:
            assert b" 200 " in await reader.readline()
    # the runtime has stopped while the streams were open
    async with asyncio.timeout(30):
        for reader, writer in readers:
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
    server.close()
    await serving.stop()
