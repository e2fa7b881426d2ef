"""Actorium in a Litestar application: `ActoriumPlugin`, with dependencies for commands, reads and streams.

    @post("/accounts/{id:str}/deposits")
    async def deposit(
        id: FromPath[str], data: JSONBody[Money], send: NamedDependency[CommandSender]
    ) -> Response[CommandReceipt]:
        return await send(Deposit(id, data.amount))

    app = Litestar([deposit], plugins=[ActoriumPlugin(runtime)])

The plugin provides these dependencies by name: `send`, a `CommandSender`; `runtime`, the `Runtime`; `position`, the
position that a read must contain; `log`, the log after the last event that the client has seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import closing
from typing import Annotated, Any

import msgspec

from actorium.actors.commands import Command
from actorium.application import Runtime
from actorium.contrib.web.answers import WebAnswer, error_answer, health_answer, invalid_answer, refusal_answer
from actorium.contrib.web.body_limit import BodyLimit
from actorium.contrib.web.options import WebOptions
from actorium.contrib.web.requests import position_of, reply_headers, wishes_of
from actorium.contrib.web.streams import StreamedValue, log_after, streamed_events, streamed_results
from actorium.errors import ActoriumError
from actorium.health import live, ready
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.queries import Watch
from actorium.store.errors import from_extra
from actorium.store.events import Event

with from_extra("litestar", "actorium.contrib.litestar", "litestar"):
    from litestar import Request, Response, get
    from litestar.config.app import AppConfig
    from litestar.di import Provide
    from litestar.exceptions import HTTPException, ValidationException
    from litestar.middleware import DefineMiddleware
    from litestar.params import HeaderParameter
    from litestar.plugins import InitPlugin
    from litestar.response import ServerSentEvent
    from litestar.response.sse import ServerSentEventMessage

__all__ = ["ActoriumPlugin", "CommandReceipt", "CommandSender", "WebOptions", "events", "results"]


class CommandReceipt(msgspec.Struct, frozen=True):
    """The answer to a command: the aggregate's id and version, and the command's position in the log."""

    id: str
    version: int
    position: int


class CommandSender:
    """Sends a command as the headers of its request say; the dependency `send`."""

    def __init__(self, request: Request[Any, Any, Any], runtime: Runtime, options: WebOptions) -> None:
        self._runtime = runtime
        self._headers = options.headers(request)
        self.wishes = wishes_of(request.headers, wait_max_s=options.wait_max_s)

    async def __call__(
        self, command: Command, *, wait_for: Collection[type[Projection]] = ()
    ) -> Response[CommandReceipt]:
        """Send a command; return its receipt as a response with an ETag and the command's position.

        wait_for: projections that must contain the command's events before the response is sent.

        Raises the errors of `Runtime.send`; the plugin's handlers answer them.
        """
        ack = await self._runtime.send(command, wait_for=wait_for, **self.wishes.options(self._headers))
        receipt = CommandReceipt(ack.stream_id, ack.version, ack.position)
        return Response(receipt, headers=reply_headers(ack, self.wishes))


class ActoriumPlugin(InitPlugin):
    """Makes an application serve a runtime: it starts and stops with it, and answers its errors as problems.

    The application's own lifespans are entered first, so that their resources are closed after the runtime. The body
    limit of the options replaces Litestar's `request_max_body_size`.

    options: how requests become commands; `WebOptions.headers` gets Litestar's request.
    """

    def __init__(self, runtime: Runtime, options: WebOptions | None = None) -> None:
        self._runtime = runtime
        self._options = options or WebOptions()

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the parts of this plugin to an application that is being created."""
        runtime, options = self._runtime, self._options
        limit: Any = BodyLimit  # ASGI in plain dictionaries, where Litestar has classes of its own
        app_config.lifespan = [*app_config.lifespan, lambda app: options.running(runtime)]
        app_config.state["actorium"] = runtime
        app_config.request_max_body_size = None
        app_config.middleware = [*app_config.middleware, DefineMiddleware(limit, bytes_max=options.body_bytes_max)]
        app_config.exception_handlers = {
            ActoriumError: self._error,
            HTTPException: _refusal,
            ValidationException: _invalid,
            **app_config.exception_handlers,
        }
        app_config.dependencies = {
            "send": Provide(self._sender),
            "runtime": Provide(self._running),
            "position": Provide(_position),
            "log": Provide(self._log),
            **app_config.dependencies,
        }
        if options.health:
            live_route = get(f"{options.health}/live", opt={"exclude_from_auth": True})(self._live)
            ready_route = get(f"{options.health}/ready", opt={"exclude_from_auth": True})(self._ready)
            app_config.route_handlers = [*app_config.route_handlers, live_route, ready_route]
        return app_config

    async def _sender(self, request: Request[Any, Any, Any]) -> CommandSender:
        return CommandSender(request, self._runtime, self._options)

    async def _running(self) -> Runtime:
        return self._runtime

    async def _log(self, request: Request[Any, Any, Any]) -> Subscription[Event]:
        seen = request.headers.get("last-event-id")
        after = position_of(request.query_params.get("after"))
        return log_after(self._runtime, after, None if seen is None else position_of(seen))

    async def _live(self) -> Response[bytes]:
        return _response(health_answer(live(self._runtime)))

    async def _ready(self) -> Response[bytes]:
        return _response(health_answer(await ready(self._runtime, lag_s_max=self._options.ready_lag_s)))

    def _error(self, request: Request[Any, Any, Any], error: ActoriumError) -> Response[bytes]:
        return _response(error_answer(error, self._options, request.headers, request.url.path))


async def _position(
    actorium_position: Annotated[str | None, HeaderParameter(name="Actorium-Position")] = None,
) -> int:
    return position_of(actorium_position)


def _refusal(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    return _response(refusal_answer(error.status_code, error.detail, error.headers or {}, request.headers))


def _invalid(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    return _response(invalid_answer(error.status_code, error.extra or error.detail, request.headers))


def _response(answer: WebAnswer) -> Response[bytes]:
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type, headers=answer.headers)


def events(log: Subscription[Event]) -> ServerSentEvent:
    """Return the events of a subscription as server-sent events, whose ids are positions."""

    async def stream() -> AsyncIterator[ServerSentEventMessage]:
        with closing(log):
            async for one in streamed_events(log):
                yield _message(one)

    return ServerSentEvent(stream())


def results(watch: Watch[Any], *, event: str = "result") -> ServerSentEvent:
    """Return the results of `runtime.watch` as server-sent events: the present one, then each new one."""

    async def stream() -> AsyncIterator[ServerSentEventMessage]:
        async for one in streamed_results(watch, event):
            yield _message(one)

    return ServerSentEvent(stream())


def _message(one: StreamedValue) -> ServerSentEventMessage:
    return ServerSentEventMessage(msgspec.json.encode(one.data).decode(), event=one.name, id=one.id or None)
