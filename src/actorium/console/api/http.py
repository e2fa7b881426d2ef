"""The HTTP of a console, as an ASGI application sees it: requests, responses, and streams of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from actorium.store.errors import ActoriumError, InvalidCommand

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

T = TypeVar("T", bound=msgspec.Struct)

BODY_BYTES_MAX = 262_144
QUERY_FIELDS_MAX = 100

_SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class ClientRequest:
    """A request: its method, path, query, headers by lower-case name, and body."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self.method = str(scope["method"])
        root, path = str(scope.get("root_path", "")), str(scope["path"])
        # Some frameworks leave the prefix of a mount in the path, some take it off.
        self.path = path[len(root) :] if root and path.startswith(root) else path
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

    def query(self, wanted: type[T]) -> T:
        """Return the query string as a struct; raise InvalidCommand if it does not fit."""
        lists = {field.name for field in msgspec.structs.fields(wanted) if _is_list(field.type)}
        values: dict[str, Any] = {}
        try:
            pairs = parse_qsl(
                self.scope["query_string"].decode("ascii"),
                keep_blank_values=True,
                max_num_fields=QUERY_FIELDS_MAX,
                errors="strict",
            )
            for name, value in pairs:
                if name in lists:
                    values.setdefault(name, []).append(value)
                elif value:
                    values[name] = value
            return msgspec.convert(values, wanted, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            raise InvalidCommand(f"the query is wrong: {error}") from error

    async def body(self, wanted: type[T]) -> T:
        """Return the JSON body as a struct; raise InvalidCommand if it does not fit."""
        if self.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise InvalidCommand("the body must be JSON: Content-Type: application/json")
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidCommand("the client left before its request was complete")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > BODY_BYTES_MAX:
                raise InvalidCommand(f"the body is longer than {BODY_BYTES_MAX} bytes")
            chunks.append(chunk)
            if not message.get("more_body", False):
                break
        try:
            return msgspec.json.decode(b"".join(chunks), type=wanted)
        except msgspec.DecodeError as error:
            raise InvalidCommand(f"the body is wrong: {error}") from error

    async def has_left(self) -> None:
        """Return when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class ProblemBody(msgspec.Struct, frozen=True):
    """Why a request was not carried out: the class of the error, and its message."""

    error: str
    message: str


def problem_of(error: ActoriumError) -> tuple[int, ProblemBody]:
    """Return the status and the body for an error."""
    return error.http_status, ProblemBody(type(error).__name__, str(error))


async def respond(
    send: Send, status: int, content: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> None:
    """Send a whole response."""
    await _start(send, status, content_type, {"content-length": str(len(content)), **(headers or {})})
    await send({"type": "http.response.body", "body": content})


async def respond_json(send: Send, status: int, value: Any) -> None:
    """Send a value as JSON."""
    await respond(send, status, msgspec.json.encode(value), "application/json", {"cache-control": "no-store"})


async def respond_stream(send: Send, messages: AsyncIterator[bytes]) -> None:
    """Send server-sent events, each a JSON text, until the iterator ends."""
    await _start(send, 200, "text/event-stream", {"cache-control": "no-store", "x-accel-buffering": "no"})
    async for message in messages:
        await send({"type": "http.response.body", "body": b"data: " + message + b"\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, content_type: str, headers: Mapping[str, str]) -> None:
    own = [(b"content-type", content_type.encode()), *_SECURITY]
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *given]})


def _is_list(type_: Any) -> bool:
    return getattr(type_, "__origin__", None) in (tuple, list)
