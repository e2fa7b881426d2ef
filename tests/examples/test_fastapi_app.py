"""The FastAPI example over ASGI: every status code provoked, idempotency, shutdown."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from actorium import Settings, health
from actorium.examples.fastapi_app.app import OPTIONS, create_app
from actorium.store.event_store import AppendBatch, Appended, Head
from actorium.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio

Serve = Callable[[Any], Any]


class GatedStore(MemoryStore):
    """A log whose commits wait while its gate is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()

    async def append(self, batch: AppendBatch) -> Appended:
        self.reached.set()
        await self.gate.wait()
        return await super().append(batch)


def key(value: str, **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": value, **{name.replace("_", "-"): text for name, text in headers.items()}}


async def open_alice(client: httpx.AsyncClient, *, balance: int = 0) -> None:
    body = {"account_id": "alice", "owner": "Alice"}
    assert (await client.post("/accounts", json=body, headers=key("open-alice"))).status_code == 201
    if balance:
        await deposit(client, balance, "first-deposit")


async def deposit(client: httpx.AsyncClient, amount: int, id: str, **headers: str) -> httpx.Response:
    return await client.post("/accounts/alice/deposits", json={"amount": amount}, headers=key(id, **headers))


async def withdraw(client: httpx.AsyncClient, amount: int, id: str, **headers: str) -> httpx.Response:
    return await client.post("/accounts/alice/withdrawals", json={"amount": amount}, headers=key(id, **headers))


def problem(response: httpx.Response) -> dict[str, Any]:
    """The members of a problem, whose own status is that of the response."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    return body


# --- the good way -----------------------------------------------------------------------------------------------------


async def test_an_account_is_opened_used_and_read(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        body = {"account_id": "alice", "owner": "Alice"}
        opened = await server.client.post("/accounts", json=body, headers=key("1"))
        assert opened.status_code == 201
        assert opened.headers["location"] == "/accounts/alice"
        assert opened.json() == {"id": "alice", "version": 1, "position": 1}

        assert (await deposit(server.client, 100, "2")).status_code == 200
        withdrawn = await withdraw(server.client, 30, "3")
        assert (withdrawn.status_code, withdrawn.headers["etag"]) == (200, '"3"')

        read = await server.client.get(opened.headers["location"])
        assert read.status_code == 200
        assert read.headers["etag"] == '"3"'
        assert read.json() == {"id": "alice", "owner": "Alice", "balance": 70, "version": 3}


async def test_an_account_is_read_as_it_was_at_a_version_or_a_time(serve: Serve) -> None:
    app = create_app("memory://")
    async with serve(app) as server:
        await open_alice(server.client, balance=100)
        deposited = await anext(app.state.actorium.events(after=1))
        await withdraw(server.client, 30, "later")

        at_version = await server.client.get("/accounts/alice", params={"at_version": 1})
        assert (at_version.json()["balance"], at_version.headers["etag"]) == (0, '"1"')
        at_time = await server.client.get("/accounts/alice", params={"at_time": deposited.recorded_at.isoformat()})
        assert at_time.json()["balance"] == 100


async def test_a_correlation_id_is_stored_with_the_events_and_given_back(serve: Serve) -> None:
    app = create_app("memory://")
    async with serve(app) as server:
        await open_alice(server.client)
        done = await deposit(server.client, 100, "2", X_Correlation_ID="salary")
        refused = await withdraw(server.client, 101, "3", X_Correlation_ID="rent")
        assert done.headers["x-correlation-id"] == "salary"
        assert (refused.status_code, refused.headers["x-correlation-id"]) == (409, "rent")
        recorded = await anext(app.state.actorium.events(after=1))
        assert recorded.metadata.correlation_id == "salary"


async def test_health_and_statistics_are_served(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        assert (await server.client.get("/health/live")).json() == {"status": "ok", "reasons": []}
        statistics = (await server.client.get("/statistics")).json()
        assert (statistics["acknowledged"], statistics["position"]) == (1, 1)


# --- once -------------------------------------------------------------------------------------------------------------


async def test_the_same_key_twice_has_one_effect_and_one_answer(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        first = await deposit(server.client, 100, "salary")
        again = await deposit(server.client, 100, "salary")
        assert (again.status_code, again.json(), again.headers["etag"]) == (200, first.json(), first.headers["etag"])
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert (await server.client.get("/accounts/alice")).json()["balance"] == 100


async def test_a_key_works_across_restarts_and_if_the_state_would_now_reject(serve: Serve, log_url: str) -> None:
    async with serve(create_app(log_url)) as server:
        await open_alice(server.client, balance=100)
        first = await withdraw(server.client, 100, "rent", If_Match='"2"')
    async with serve(create_app(log_url)) as server:
        again = await withdraw(server.client, 100, "rent", If_Match='"2"')
        assert (again.status_code, again.json()) == (200, first.json())
        reopened = await server.client.post(
            "/accounts", json={"account_id": "alice", "owner": "Alice"}, headers=key("open-alice")
        )
        assert (reopened.status_code, reopened.json()["version"]) == (201, 1)


async def test_the_same_key_for_another_body_is_422(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client, balance=100)
        answer = await deposit(server.client, 200, "first-deposit")
        assert answer.status_code == 422
        assert problem(answer)["type"] == "/problems/CommandConflict"
        assert (await server.client.get("/accounts/alice")).json()["balance"] == 100


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_a_rejection_is_409_with_reason_and_details(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client, balance=100)
        answer = await withdraw(server.client, 101, "too-much")
        assert answer.status_code == 409
        assert problem(answer)["reason"] == "insufficient funds"
        assert problem(answer)["details"] == {"balance": 100, "amount": 101}


async def test_an_existing_account_is_409(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        body = {"account_id": "alice", "owner": "Another Alice"}
        answer = await server.client.post("/accounts", json=body, headers=key("another"))
        assert answer.status_code == 409
        assert problem(answer)["type"] == "/problems/AlreadyExists"


async def test_an_account_that_does_not_or_did_not_exist_is_404(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        replies = [await deposit(server.client, 1, "lost"), await server.client.get("/accounts/alice")]
        await open_alice(server.client)
        replies += [
            await server.client.get("/accounts/alice", params={"at_version": 2}),
            await server.client.get("/accounts/alice", params={"at_time": "1993-01-01T00:00:00Z"}),
        ]
        assert [answer.status_code for answer in replies] == [404] * 4
        assert {problem(answer)["type"] for answer in replies} == {"/problems/NotFound"}


async def test_an_account_that_has_changed_since_it_was_read_is_412(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        etag = (await server.client.get("/accounts/alice")).headers["etag"]
        assert (await deposit(server.client, 100, "in-time", If_Match=etag)).status_code == 200
        answer = await deposit(server.client, 100, "too-late", If_Match=etag)
        assert answer.status_code == 412
        assert problem(answer)["expected_version"] == 1
        assert problem(answer)["version"] == 2


@pytest.mark.parametrize(
    ("body", "headers", "wrong"),
    [
        ({"amount": 1}, {}, ["header", "idempotency-key"]),
        ({"amount": 1}, key("k", If_Match="*"), ["header", "if-match"]),
        ({"amount": 0}, key("k"), ["body", "amount"]),
        ({"amount": "much"}, key("k"), ["body", "amount"]),
        ({"amount": 10**30}, key("k"), ["body", "amount"]),
        ({}, key("k"), ["body", "amount"]),
    ],
)
async def test_an_invalid_command_is_422(
    serve: Serve, body: dict[str, Any], headers: dict[str, str], wrong: list[str]
) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        answer = await server.client.post("/accounts/alice/deposits", json=body, headers=headers)
        assert answer.status_code == 422
        assert [error["loc"] for error in problem(answer)["errors"]] == [wrong]
        assert (await server.client.get("/accounts/alice")).json()["version"] == 1


@pytest.mark.parametrize(
    "moment", [{"at_version": 0}, {"at_time": "2026-01-01T00:00:00"}, {"at_version": 1, "at_time": "2026-01-01T00:00Z"}]
)
async def test_an_invalid_time_is_422(serve: Serve, moment: dict[str, Any]) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        answer = await server.client.get("/accounts/alice", params=moment)
        assert answer.status_code == 422
        assert len(problem(answer)["errors"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"amount":NaN}', 422),
        (b'{"amount":"5"}', 422),
        (b'{"amount":true}', 422),
        (b'{"amount":5,"currency":"EUR"}', 422),
        (b'{"amount":1' + b"0" * 5_000 + b"}", 400),
        (b'{"amount":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400),
        (b'{"account_id":"bob","owner":"\\ud800"}', 422),
        (b"{", 422),
    ],
)
async def test_an_invalid_body_is_a_problem_and_is_not_echoed(serve: Serve, body: bytes, status: int) -> None:
    path = "/accounts" if b"owner" in body else "/accounts/alice/deposits"
    headers = key("k", content_type="application/json")
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        answer = await server.client.post(path, content=body, headers=headers)
        assert (answer.status_code, problem(answer)["status"]) == (status, status)
        assert '"input"' not in answer.text
        assert (await server.client.get("/accounts/alice")).json()["version"] == 1


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_body_that_is_too_long_is_413_and_is_not_read_completely(serve: Serve, is_told: bool) -> None:
    chunk, sent = b" " * 10_000, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += len(chunk)
            yield chunk

    length = {"Content-Length": str(1_000 * len(chunk))} if is_told else {}
    headers = key("k", content_type="application/json") | length
    async with serve(create_app("memory://")) as server:
        answer = await server.client.post("/accounts", content=body(), headers=headers)
        assert answer.status_code == 413
        assert problem(answer)["detail"] == f"the body is longer than {OPTIONS.body_bytes_max} bytes"
        assert answer.headers["connection"] == "close"
        assert OPTIONS.body_bytes_max < sent <= OPTIONS.body_bytes_max + len(chunk)
        exact = b'{"account_id":"bob","owner":"Bob"}'.ljust(OPTIONS.body_bytes_max)
        headers = key("k2", content_type="application/json")
        assert (await server.client.post("/accounts", content=exact, headers=headers)).status_code == 201


@pytest.mark.parametrize("text", ["a\x1b[31mb", "caf\xe9"])
async def test_a_correlation_id_with_odd_characters_is_422_and_is_not_echoed(serve: Serve, text: str) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        headers: Any = key("k") | {"X-Correlation-ID": text.encode("latin-1")}
        answer = await server.client.post("/accounts/alice/deposits", json={"amount": 1}, headers=headers)
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["loc"] == ["header", "x-correlation-id"]
        assert "x-correlation-id" not in answer.headers


@pytest.mark.parametrize("place", [{"params": {"after": 2}}, {"headers": {"Last-Event-ID": "9" * 30}}])
async def test_a_stream_after_a_position_beyond_the_log_is_422(serve: Serve, place: dict[str, Any]) -> None:
    async with serve(create_app("memory://")) as server:
        await open_alice(server.client)
        answer = await server.client.get("/events", **place)
        assert answer.status_code == 422
        assert problem(answer)["type"] == "/problems/PositionBeyondLog"


async def test_an_unknown_path_is_a_problem_too(serve: Serve) -> None:
    async with serve(create_app("memory://")) as server:
        replies = await server.client.get("/nowhere"), await server.client.delete("/statistics")
        assert [problem(answer)["status"] for answer in replies] == [404, 405]
        assert replies[1].headers["allow"] == "GET"


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_no_answer_in_time_is_504_and_no_room_in_time_is_503(serve: Serve) -> None:
    store = GatedStore()
    async with serve(create_app(store, Settings(max_in_flight=1, default_timeout_s=0.05))) as server:
        body = {"account_id": "alice", "owner": "Alice"}
        late = await server.client.post("/accounts", json=body, headers=key("open-alice"))
        assert late.status_code == 504
        assert problem(late)["command_id"] == "open-alice"

        refused = await deposit(server.client, 100, "salary")  # the first command is still in flight
        assert refused.status_code == 503
        assert problem(refused)["type"] == "/problems/Overloaded"
        assert refused.headers["retry-after"] == "1"

        store.gate.set()
        await open_alice(server.client, balance=100)
        assert (await server.client.get("/accounts/alice")).json()["version"] == 2


class SilentStore(MemoryStore):
    """A log that gives no answer about its end once it has been asked at the start."""

    is_silent = False

    async def head(self) -> Head:
        if self.is_silent:
            await asyncio.Event().wait()
        return await super().head()


async def test_health_asks_the_store_for_a_limited_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STORE_ANSWERS_S", 0.01)
    store = SilentStore()
    async with serve(create_app(store)) as server:
        assert (await server.client.get("/health/ready")).status_code == 200
        store.is_silent = True
        answer = await server.client.get("/health/ready")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the store did not answer within 0.01 s"])
        assert (await server.client.get("/health/live")).status_code == 200


@pytest.mark.about("sqlite", "it removes the file of the log")
async def test_a_removed_log_is_504_and_reveals_nothing_about_the_server(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "bank.db"
    async with serve(create_app(f"sqlite:///{file}")) as server:
        await open_alice(server.client)
        file.unlink()
        answer = await deposit(server.client, 100, "salary")
        assert answer.status_code == 504
        assert problem(answer)["type"] == "/problems/CommitUnknown"
        ready = await server.client.get("/health/ready")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["the store cannot be read: StoreUnavailable"])
        assert "bank.db" not in answer.text + ready.text


# --- shutdown ---------------------------------------------------------------------------------------------------------


async def test_requests_in_flight_at_shutdown_are_answered_and_new_ones_refused(serve: Serve) -> None:
    store = GatedStore()
    async with serve(create_app(store)) as server:
        body = {"account_id": "alice", "owner": "Alice"}
        in_flight = asyncio.create_task(server.client.post("/accounts", json=body, headers=key("open-alice")))
        await store.reached.wait()
        stopping = asyncio.create_task(server.stop())
        # Asked in a task each time, so that the application's own tasks have their turns.
        while (alive := await asyncio.create_task(server.client.get("/health/live"))).status_code == 200:
            pass
        refused = await deposit(server.client, 100, "salary")
        assert (alive.status_code, refused.status_code, refused.headers["retry-after"]) == (503, 503, "5")
        assert problem(refused)["type"] == "/problems/RuntimeClosed"
        assert not in_flight.done()

        store.gate.set()
        assert (await in_flight).status_code == 201
        await stopping
