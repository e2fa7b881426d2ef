"""Actorium in a FastAPI application: `install`, and dependencies for commands, reads and streams.

app = FastAPI()
install(app, runtime)

@app.post("/accounts/{id}/deposits")
async def deposit(id: str, money: Money, send: Send) -> Receipt:
    return await send(Deposit(id, money.amount))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import closing
from typing import Annotated, Any

from actorium.actors.commands import Command
from actorium.application import Runtime
from actorium.contrib import starlette
from actorium.contrib.web.answers import invalid_answer
from actorium.contrib.web.options import WebOptions
from actorium.contrib.web.requests import KEY_MAX, Wishes, expected_version, reply_headers, timeout_of, trace_of
from actorium.contrib.web.streams import log_after, streamed_events, streamed_results
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.queries import Watch
from actorium.store.errors import from_extra
from actorium.store.events import Event

with from_extra("fastapi", "actorium.contrib.fastapi", "fastapi", "pydantic"):
    from fastapi import Depends, FastAPI, Header, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.sse import ServerSentEvent
    from pydantic import BaseModel, Field

__all__ = ["After", "Log", "Receipt", "Running", "Send", "Sender", "WebOptions", "events", "install", "results"]


class Receipt(BaseModel):
    """The answer to a command: the aggregate's id and version, and the command's position in the log."""

    id: str
    version: int
    position: int


class ProblemDetails(BaseModel):
    """The body of an error response (RFC 9457); some errors have more members."""

    type: str
    title: str
    status: int
    detail: str = ""


def install(app: FastAPI, runtime: Runtime, options: WebOptions | None = None) -> None:
    """Make an application serve a runtime: it starts and stops with it, and answers its errors as problems.

    Call it once, on the outermost application, before it starts: the lifespan of a mounted application does not run.
    The application's own lifespan is entered first, so that its resources are closed after the runtime.
    """
    starlette.install(app, runtime, options)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "model": ProblemDetails, "content": {"application/problem+json": {}}}
    for status, text in (
        (404, "There is no such thing"),
        (409, "The command was refused"),
        (412, "The version of If-Match is not the present one"),
        (422, "The request is invalid"),
        (503, "Nothing was done: send again later"),
        (504, "No answer: send again with the same Idempotency-Key"),
    )
}
"""The error responses of a route that sends commands, for the OpenAPI document: `APIRouter(responses=RESPONSES)`."""


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Answer an invalid request without its input, which may be long, or not valid in JSON."""
    assert isinstance(error, RequestValidationError)
    errors = [{name: one[name] for name in ("type", "loc", "msg")} for one in error.errors()]
    return starlette.response(invalid_answer(422, errors, request.headers))


async def _running(request: Request) -> Runtime:
    return starlette.runtime_of(request)


Running = Annotated[Runtime, Depends(_running)]
"""The runtime of the application, as a dependency."""

_PRINTABLE = "^[ -~]*$"


class CommandHeaders(BaseModel):
    """The headers of a request that sends a command."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=KEY_MAX, pattern=_PRINTABLE)]
    if_match: Annotated[str | None, Field(pattern=r'^"[0-9]{1,18}"$')] = None
    prefer: Annotated[str, Field(max_length=200)] = ""
    x_correlation_id: Annotated[str, Field(max_length=200, pattern=_PRINTABLE)] = ""


class Sender:
    """Sends a command as the headers of its request say, and sets the headers of the response."""

    def __init__(self, request: Request, headers: CommandHeaders, response: Response) -> None:
        self._request = request
        self._response = response
        self._options = starlette.options_of(request)
        self.wishes = Wishes(
            headers.idempotency_key,
            expected_version(headers.if_match),
            timeout_of(headers.prefer, self._options.wait_max_s),
            headers.x_correlation_id,
            trace_of(request.headers),
        )

    async def __call__(self, command: Command, *, wait_for: Collection[type[Projection]] = ()) -> Receipt:
        """Send a command; return its receipt, and give the response its ETag and position.

        wait_for: projections that must contain the command's events before the response is sent.

        Raises the errors of `Runtime.send`; the installed handlers answer them.
        """
        options = self.wishes.options(self._options.headers(self._request))
        ack = await starlette.runtime_of(self._request).send(command, wait_for=wait_for, **options)
        self._response.headers.update(reply_headers(ack, self.wishes))
        return Receipt(id=ack.stream_id, version=ack.version, position=ack.position)


async def _sender(request: Request, headers: Annotated[CommandHeaders, Header()], response: Response) -> Sender:
    return Sender(request, headers, response)


Send = Annotated[Sender, Depends(_sender)]
"""A function that sends a command: `await send(Deposit(id, 5))`. The request must have an Idempotency-Key."""


async def _after(actorium_position: Annotated[int, Header(ge=0, le=2**63 - 1)] = 0) -> int:
    return actorium_position


After = Annotated[int, Depends(_after)]
"""The position that a read must contain, from the header `Actorium-Position`: `runtime.query(…, after=after)`."""


async def _log(
    runtime: Running,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> AsyncIterator[Subscription[Event]]:
    with closing(log_after(runtime, after, last_event_id)) as log:
        yield log


Log = Annotated[Subscription[Event], Depends(_log)]
"""The log after the last event that the client has seen, which a browser sends in Last-Event-ID."""


async def events(log: Subscription[Event]) -> AsyncIterator[ServerSentEvent]:
    """Return the events of a subscription as server-sent events, whose ids are positions."""
    async for one in streamed_events(log):
        yield ServerSentEvent(id=one.id, event=one.name, data=one.data)


async def results(watch: Watch[Any], *, event: str = "result") -> AsyncIterator[ServerSentEvent]:
    """Return the results of `runtime.watch` as server-sent events: the present one, then each new one."""
    async for one in streamed_results(watch, event):
        yield ServerSentEvent(event=one.name, data=one.data)
