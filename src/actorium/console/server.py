"""A small HTTP server for a console: on a Unix socket, or on a port of this machine.

It serves one request per connection and closes it, so that an answer ends where the connection does. It has no TLS and
knows no other encodings; whoever needs more mounts the console in an application behind a server of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from actorium.console.api.http import BODY_BYTES_MAX, Receive, Scope, Send
from actorium.store.log import logger

log = logger("actorium.console")

HEAD_BYTES_MAX = 16_384
HEAD_WITHIN_S = 10.0
CONNECTIONS_MAX = 200

AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Peer = Callable[[asyncio.StreamWriter], "Any"]


class BadRequest(Exception):
    """The bytes are not a request that this server takes."""


class SmallServer:
    """Serves an ASGI application to the connections that asyncio hands it.

    peer: says who is at the other end of a connection; the application finds it as `scope["actorium.peer"]`.
    """

    def __init__(self, app: AsgiApp, *, peer: Peer | None = None) -> None:
        self._app = app
        self._peer = peer
        self._connections: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: the callback of `asyncio.start_server` and `asyncio.start_unix_server`."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client left, or never finished its request
        except BadRequest as wrong:
            with contextlib.suppress(ConnectionError):
                writer.write(f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{wrong}\n".encode())
                await writer.drain()
        except asyncio.CancelledError:
            pass  # the server stops
        except Exception as error:
            log.error("console_request_failed", error=repr(error), traceback=error)
        finally:
            self._connections.discard(task)
            writer.close()

    async def stop(self) -> None:
        """End all connections."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_WITHIN_S):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError as error:
                raise BadRequest("the head of the request is too long") from error
        scope, length = _scope_of(head)
        scope["actorium.peer"] = None if self._peer is None else self._peer(writer)
        is_read = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal is_read
            if not is_read:
                is_read = True
                async with asyncio.timeout(HEAD_WITHIN_S):
                    return {"type": "http.request", "body": await reader.readexactly(length), "more_body": False}
            while await reader.read(HEAD_BYTES_MAX):
                pass  # nothing may follow
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status = HTTPStatus(message["status"])
                lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), b"Connection: close"]
                lines += [name + b": " + value for name, value in message["headers"]]
                writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
            elif scope["method"] != "HEAD":
                writer.write(message.get("body", b""))
            await writer.drain()

        await self._app(scope, receive, send)


def _scope_of(head: bytes) -> tuple[Scope, int]:
    """Return the ASGI scope of a request and the length of its body; raise BadRequest."""
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, http = lines[0].split(" ")
    except ValueError as error:
        raise BadRequest("the first line of the request is wrong") from error
    if not http.startswith("HTTP/1.") or not target.startswith("/"):
        raise BadRequest("this server speaks HTTP/1.1 and takes paths")
    headers: list[tuple[bytes, bytes]] = []
    for line in filter(None, lines[1:]):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest("a header is wrong")
        headers.append((name.lower().encode("latin-1"), value.strip().encode("latin-1")))
    known = dict(headers)
    length = known.get(b"content-length", b"0")
    if b"transfer-encoding" in known or not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise BadRequest("send a body with its Content-Length, and no longer than the limit")
    path, _, query = target.partition("?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": headers,
    }
    return scope, int(length)
