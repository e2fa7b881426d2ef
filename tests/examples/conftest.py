"""Fixtures of the web applications' tests: a server's lifespan and requests, over ASGI."""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import httpx
import pytest

Message = MutableMapping[str, Any]


class Server:
    """Runs an ASGI application's lifespan as a web server does; `client` talks to the application."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bank.test")

    async def __aenter__(self) -> "Server":
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._lifespan = asyncio.create_task(self._app(scope, self._to_app.get, self._from_app.put))
        await self._ask("startup")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Shut the application down; a second call does nothing."""
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await self._ask("shutdown")
            await lifespan
            await self.client.aclose()

    async def _ask(self, what: str) -> None:
        await self._to_app.put({"type": f"lifespan.{what}"})
        answer = await self._from_app.get()
        if answer["type"] != f"lifespan.{what}.complete":
            raise ConnectionError(answer.get("message", answer["type"]))


@pytest.fixture
def serve() -> Callable[[Any], Server]:
    """Return a function that runs an application: `async with serve(app) as server`."""
    return Server
