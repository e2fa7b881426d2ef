"""Consoles of a running application, and clients of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from actorium import Runtime
from actorium.console import Console, Operator

TOKENS = {
    "viewer-token-of-16": Operator("vic", "view"),
    "operate-token-of-16": Operator("ann", "operate"),
    "correct-token-of-16": Operator("cora", "correct"),
    "another-token-of-16": Operator("dan", "correct"),
}


class ConsoleClient:
    """Sends requests to a console as one operator."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, expected: int = 200, /, **query: Any) -> Any:
        """Return the answer to a GET, which must have this status."""
        answer = await self._http.get(f"/api/{path}", params=query)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def post(self, path: str, expected: int = 200, /, **body: Any) -> Any:
        """Return the answer to a POST, which must have this status."""
        answer = await self._http.post(f"/api/{path}", json=body)
        assert answer.status_code == expected, answer.text
        return answer.json()


@asynccontextmanager
async def client_of(app: Any, token: str = "", **headers: str) -> AsyncIterator[ConsoleClient]:
    """Open a client of a console, with the token of an operator."""
    if token:
        headers["authorization"] = f"Bearer {token}"
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
        yield ConsoleClient(http)


def console_of(runtime: Runtime, **options: Any) -> Console:
    """Return a console that lets operators act."""
    return Console(runtime, actions=True, tokens=TOKENS, **options)
