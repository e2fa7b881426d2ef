"""Who may use a console, and from where; whoever may not changes nothing."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from support.consoles import TOKENS, client_of, console_of
from support.shop import open_shop, place, until
from support.virtual_time import virtual

from actorium import ConfigurationError, Runtime
from actorium.console import Console, Operator

TARGET = {"type": "Checkout", "id": "o-1"}
RETRY = ("sagas/retry", {"targets": [TARGET], "reason": "to try it"})


async def stuck_at(runtime: Runtime) -> int:
    await place(runtime, "o-1")
    await until(runtime, "o-1", "failed")
    return runtime.statistics().position


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("", {}, 401),
        ("a-token-that-is-unknown", {}, 401),
        ("viewer-token-of-16", {}, 403),
        ("operate-token-of-16", {"origin": "https://evil.example"}, 403),
        ("operate-token-of-16", {"origin": "null"}, 403),
        ("operate-token-of-16", {"sec-fetch-site": "cross-site"}, 403),
        ("operate-token-of-16", {"host": "evil.example"}, 403),
        ("operate-token-of-16", {"host": "localhost.evil.example"}, 403),
    ],
)
@virtual
async def test_whoever_may_not_act_changes_nothing(token: str, headers: dict[str, str], status: int) -> None:
    async with open_shop() as runtime:
        before = await stuck_at(runtime)
        async with client_of(console_of(runtime), token, **headers) as client:
            path, body = RETRY
            await client.post(path, status, **body)
        assert runtime.statistics().position == before


@virtual
async def test_a_read_only_console_lets_nobody_act() -> None:
    async with open_shop() as runtime:
        before = await stuck_at(runtime)
        async with client_of(Console(runtime, tokens=TOKENS), "operate-token-of-16") as client:
            path, body = RETRY
            assert "read-only" in (await client.post(path, 403, **body))["message"]
        assert runtime.statistics().position == before


@virtual
async def test_without_tokens_anybody_on_this_machine_may_look_at_hidden_values() -> None:
    async with open_shop() as runtime:
        await place(runtime, "o-1")
        async with client_of(Console(runtime)) as client:
            assert (await client.get("event", position=1))["is_masked"]
            assert (await client.get("info"))["operator"] == "anonymous"


@virtual
async def test_a_hook_of_the_application_says_who_acts() -> None:
    async def authorize(scope: Any) -> Operator | None:
        user = dict(scope["headers"]).get(b"x-user", b"").decode()
        return Operator(user, "operate") if user else None

    async with open_shop() as runtime:
        await stuck_at(runtime)
        console = Console(runtime, actions=True, authorize=authorize)
        path, body = RETRY
        async with client_of(console) as client:
            await client.post(path, 401, **body)
        async with client_of(console, **{"x-user": "bea"}) as client:
            assert (await client.post(path, **body))["recorded_as"] == "actorium.operator/bea/1"


@virtual
async def test_a_hook_that_raises_lets_nobody_in_and_is_logged() -> None:
    def authorize(scope: Any) -> Operator:
        raise ZeroDivisionError("a secret")

    async with open_shop() as runtime:
        before = await stuck_at(runtime)
        path, body = RETRY
        async with client_of(Console(runtime, actions=True, authorize=authorize)) as client:
            with capture_logs() as lines:
                problem = await client.post(path, 500, **body)
        assert "secret" not in str(problem)
        assert [line["error"] for line in lines if line["event"] == "console_request_failed"] == [
            "ZeroDivisionError: a secret"
        ]
        assert runtime.statistics().position == before


@virtual
async def test_the_pages_own_origin_and_listed_hosts_pass() -> None:
    async with open_shop() as runtime:
        console = console_of(runtime, hosts=["admin.example"])
        headers = {"host": "admin.example:8443", "origin": "https://admin.example:8443"}
        async with client_of(console, "viewer-token-of-16", **headers) as client:
            await client.get("info")
        async with client_of(console, "viewer-token-of-16") as client:
            await client.get("info", 403)


@virtual
async def test_every_answer_forbids_inline_scripts_frames_and_guessed_types() -> None:
    async with open_shop() as runtime:
        transport = httpx.ASGITransport(app=console_of(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            for path in ("/", "/api/info", "/api/health/live"):
                answer = await http.get(path)
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"actions": True}, "must know who they are"),
        ({"tokens": {"short": Operator("ann")}}, "can be guessed"),
        ({"tokens": TOKENS, "authorize": lambda scope: None}, "one of the two"),
    ],
)
@virtual
async def test_unsafe_options_are_refused(options: dict[str, Any], said: str) -> None:
    async with open_shop() as runtime:
        with pytest.raises(ConfigurationError, match=said):
            Console(runtime, **options)
