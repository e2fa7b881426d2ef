"""`BodyLimit`: ASGI middleware that rejects a request whose body is too long, before reading all of it."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Answers 413 to a body of more than `bytes_max` bytes, whatever its Content-Length.

    The application's `receive` raises an HTTPException, so the application's own handler answers it.
    """

    def __init__(self, app: ASGIApp, *, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, counting the bytes of its body."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._bytes_max:
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"the body is longer than {self._bytes_max} bytes",
                    {"Connection": "close"},  # the rest of it is not read
                )
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)
