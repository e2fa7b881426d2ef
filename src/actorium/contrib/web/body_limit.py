"""`BodyLimit`: ASGI middleware that rejects a request whose body is too long, before reading all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from actorium.contrib.web.problems import PROBLEM_JSON

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLong(Exception):
    """The body has passed the limit."""


class BodyLimit:
    """Answers 413 to a body of more than `bytes_max` bytes, whatever its Content-Length.

    The application that reads the body gets an error; whatever it makes of it, the client gets this answer, unless the
    application's own answer has begun.
    """

    def __init__(self, app: ASGIApp, *, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, counting the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received, is_too_long, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal received, is_too_long
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._bytes_max:
                is_too_long = True
                raise _TooLong(f"the body is longer than {self._bytes_max} bytes")
            return message

        async def checked(message: Message) -> None:
            nonlocal has_begun
            if is_too_long and not has_begun:
                return  # what the application says of the error
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, checked)
        except Exception:
            if not is_too_long or has_begun:
                raise
        if is_too_long and not has_begun:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        body = msgspec.json.encode(
            {
                "type": "/problems/BodyTooLong",
                "title": "The request is too long",
                "status": 413,
                "detail": f"the body is longer than {self._bytes_max} bytes",
            }
        )
        headers = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # the rest of the body is not read
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
