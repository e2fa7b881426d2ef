"""Actorium in a Starlette application: `install` adds the runtime, the error responses, limits, health and metrics.

app = Starlette(routes=[Route("/accounts/{id}/deposits", deposit, methods=["POST"])])
install(app, runtime)

async def deposit(request: Request) -> Response:
    return await send(request, Deposit(request.path_params["id"], 5))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from actorium.actors.commands import Command
from actorium.application import Runtime
from actorium.contrib.web.answers import WebAnswer, error_answer, health_answer, refusal_answer
from actorium.contrib.web.body_limit import BodyLimit
from actorium.contrib.web.options import WebOptions
from actorium.contrib.web.requests import Wishes, position_of, reply_headers, wishes_of
from actorium.errors import ActoriumError
from actorium.health import live, ready
from actorium.runtime.projections.projection import Projection
from actorium.store.errors import from_extra

with from_extra("fastapi", "actorium.contrib.starlette", "starlette"):
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

__all__ = ["WebOptions", "install", "options_of", "position", "runtime_of", "send", "wishes"]


def install(app: Starlette, runtime: Runtime, options: WebOptions | None = None) -> None:
    """Make an application serve a runtime: it starts and stops with it, and answers its errors as problems.

    Call it once, on the outermost application, before it starts: the lifespan of a mounted application does not run.
    The application's own lifespan is entered first, so that its resources are closed after the runtime.
    """
    options = options or WebOptions()
    own = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[Any]:
        async with own(application) as state, options.running(runtime):
            yield state

    app.router.lifespan_context = lifespan
    app.state.actorium, app.state.actorium_options = runtime, options
    app.add_exception_handler(ActoriumError, answer_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_middleware(BodyLimit, bytes_max=options.body_bytes_max)
    if options.health:
        app.router.routes.append(Route(f"{options.health}/live", _live))
        app.router.routes.append(Route(f"{options.health}/ready", _ready))


def runtime_of(request: Request) -> Runtime:
    """Return the runtime that is installed in the application of a request."""
    runtime: Runtime = request.app.state.actorium
    return runtime


def options_of(request: Request) -> WebOptions:
    """Return the options with which the runtime is installed."""
    options: WebOptions = request.app.state.actorium_options
    return options


def wishes(request: Request) -> Wishes:
    """Return what the headers of a request say about its command; raise InvalidCommand for malformed ones."""
    return wishes_of(request.headers, wait_max_s=options_of(request).wait_max_s)


def position(request: Request) -> int:
    """Return the position that a read must contain: the header `Actorium-Position`, else 0.

    Pass it on: `await runtime.query(Balances.of, "alice", after=position(request))`.
    """
    return position_of(request.headers.get("actorium-position"))


async def send(
    request: Request, command: Command, *, wait_for: Collection[type[Projection]] = (), status: int = 200
) -> JSONResponse:
    """Send a command as the headers of a request say, and return the answer: id, version and position.

    wait_for: projections that must contain the command's events before the answer is sent.

    Raises the errors of `Runtime.send`; the installed handlers answer them.
    """
    wanted = wishes(request)
    headers = options_of(request).headers(request)
    ack = await runtime_of(request).send(command, wait_for=wait_for, **wanted.options(headers))
    body = {"id": ack.stream_id, "version": ack.version, "position": ack.position}
    return JSONResponse(body, status, reply_headers(ack, wanted))


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer one of Actorium's errors with its problem details."""
    assert isinstance(error, ActoriumError)
    return response(error_answer(error, options_of(request), request.headers, request.url.path))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer a request that no route serves, or that one refuses, with problem details."""
    assert isinstance(error, HTTPException)
    return response(refusal_answer(error.status_code, error.detail, error.headers or {}, request.headers))


def response(answer: WebAnswer) -> Response:
    """Return an answer as Starlette's."""
    return Response(answer.body, answer.status, answer.headers, media_type=answer.content_type)


async def _live(request: Request) -> Response:
    return response(health_answer(live(runtime_of(request))))


async def _ready(request: Request) -> Response:
    return response(health_answer(await ready(runtime_of(request), lag_s_max=options_of(request).ready_lag_s)))
