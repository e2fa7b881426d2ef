"""`Console`: the admin API and the web page over one running application, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from actorium.actors.errors import NotFound
from actorium.application import Runtime
from actorium.console.access import LOCAL_HOSTS, Access, Authorize, Operator
from actorium.console.actions import Actions
from actorium.console.api.http import (
    ClientRequest,
    ProblemBody,
    Receive,
    Scope,
    Send,
    problem_of,
    respond,
    respond_json,
    respond_stream,
)
from actorium.console.api.queries import LiveQuery
from actorium.console.cases.case_reader import CaseReader
from actorium.console.feed import LiveFeed
from actorium.console.log_view import LogView
from actorium.console.masking import HIDE_ALL, SHOW_ALL, Masking
from actorium.console.meter import Meter
from actorium.console.openapi import openapi_document
from actorium.console.routes import Routes
from actorium.console.runtime_view import RuntimeView
from actorium.health import Health, live, ready
from actorium.store.errors import ActoriumError
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.raised import error_text
from actorium.store.source import SystemSource

log = logger("actorium.console")

_STATIC = Path(__file__).parent / "static"
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Console:
    """The console of a running application: `app.mount("/actorium", Console(runtime))`.

    It is an ASGI application without dependencies: a page for people, under `api/` the same as JSON, and under
    `api/openapi.json` its description. Nothing can be changed unless `actions` is True.

    runtime: the application; it may be started later.
    actions: let operators act. Each action needs a reason and is recorded in the log: see `Runtime.operators`.
    tokens: who may use the console, by the token that they send as `Authorization: Bearer …`. Without tokens and
        without `authorize`, anybody who reaches it may look.
    authorize: instead of tokens: returns who sent a request, given its ASGI scope, or None. It may be async.
    hosts: the host names under which the console is served, without ports; "*" allows any.
    masking: which values of payloads and states are hidden; by default all of them.
    meter: the `Meter` that was passed to the runtime as an instrument, for the chart of commits.
    ready_lag_s: how far a processor may be behind the log before `api/health/ready` says no, in seconds.

    Raises ConfigurationError for actions without a way to know who acts, and for short tokens.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        actions: bool = False,
        tokens: Mapping[str, Operator] | None = None,
        authorize: Authorize | None = None,
        hosts: Collection[str] = LOCAL_HOSTS,
        masking: Masking = HIDE_ALL,
        meter: Meter | None = None,
        ready_lag_s: float = 30.0,
    ) -> None:
        access = Access(actions=actions, tokens=tokens or {}, authorize=authorize, hosts=hosts)
        self._ready_lag_s = ready_lag_s
        self._build(runtime.store, runtime, access, masking, meter)

    def _build(
        self, store: EventStore, runtime: Runtime | None, access: Access, masking: Masking, meter: Meter | None
    ) -> None:
        source = SystemSource()
        self._runtime = runtime
        self._access = access
        log_view = LogView(store, masking, source)
        view = RuntimeView(store, runtime, log_view, masking)
        actions = Actions(view, log_view)
        cases = CaseReader(store, lambda: view.running, masking)
        self.routes = Routes(store, view, log_view, actions, cases, is_running=runtime is not None, acts=access.actions)
        self._feed = LiveFeed(store, runtime, log_view, source, meter)

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of the API."""
        return openapi_document(self.routes.all.values(), version=version("actorium"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; lifespan events are refused, as ASGI wants it of applications without one."""
        if scope["type"] != "http":
            raise ValueError(f"the console answers HTTP only, not {scope['type']}")
        request = ClientRequest(scope, receive)
        try:
            await self._answer(request, send)
        except ActoriumError as error:
            status, body = problem_of(error)
            await respond_json(send, status, body)
        except Exception as error:  # of the application's hook, or a bug here: its text is not for everybody
            log.error("console_request_failed", path=request.path, error=error_text(error), traceback=error)
            await respond_json(send, 500, ProblemBody("ConsoleFailed", "the console failed; its log says why"))

    async def _answer(self, request: ClientRequest, send: Send) -> None:
        if request.path.startswith("/api/health/") and request.method == "GET":
            health = await self._health(request.path.removeprefix("/api/health/"))
            await respond_json(send, 200 if health.ok else 503, health)
            return
        self._access.require_own_page(request.headers)
        if not request.path.startswith("/api/"):
            await self._static(request, send)
        elif request.path == "/api/openapi.json":
            await respond_json(send, 200, self.openapi)
        else:
            await self._api(request, send)

    async def _api(self, request: ClientRequest, send: Send) -> None:
        operator = await self._access.operator(request.scope, request.headers)
        route = self.routes.all.get((request.method, request.path))
        if route is None:
            raise NotFound(f"this console has no {request.method} {request.path}: see api/openapi.json")
        self._access.require(operator, route.role)
        if route.answer is None:
            await self._stream(request, send)
            return
        wanted = request.query(route.wanted) if route.method == "GET" else await request.body(route.wanted)
        if route.role != "view":
            log.info("operator_acts", operator=operator.name, path=route.path)
        await respond_json(send, 200, await route.answer(operator, wanted))

    async def _stream(self, request: ClientRequest, send: Send) -> None:
        async with self._feed.watched(request.query(LiveQuery)) as samples:
            streaming = asyncio.ensure_future(respond_stream(send, samples))
            leaving = asyncio.ensure_future(request.has_left())
            try:
                await asyncio.wait((streaming, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (streaming, leaving):
                    task.cancel()
                await asyncio.gather(streaming, leaving, return_exceptions=True)

    async def _health(self, kind: str) -> Health:
        if kind not in ("live", "ready"):
            raise NotFound(f"there is no health check {kind!r}: ask for live or ready")
        if self._runtime is None:
            return Health(True)
        if kind == "live":
            return live(self._runtime)
        return await ready(self._runtime, lag_s_max=self._ready_lag_s)

    async def _static(self, request: ClientRequest, send: Send) -> None:
        if request.method not in ("GET", "HEAD"):
            raise NotFound(f"this console has no {request.method} {request.path}")
        if request.path == "":  # relative links of the page need the slash
            await respond(send, 307, b"", "text/plain", {"location": f"{request.scope.get('root_path', '')}/"})
            return
        name = request.path.removeprefix("/") or "index.html"
        found = _files().get(name)
        if found is None:
            raise NotFound(f"this console has no page {request.path!r}")
        await respond(send, 200, found, _CONTENT_TYPES[Path(name).suffix], {"cache-control": "no-cache"})


class LogConsole(Console):
    """The read-only console of a log without its application; it hides no values, as its user has the file anyway.

    store: an open store.
    hosts: the host names under which the console is served, without ports.
    """

    def __init__(self, store: EventStore, *, hosts: Collection[str] = LOCAL_HOSTS) -> None:
        access = Access(actions=False, tokens={}, authorize=None, hosts=hosts)
        self._build(store, None, access, SHOW_ALL, None)


@cache
def _files() -> dict[str, bytes]:
    """Return the files of the page by name."""
    paths = (path for path in _STATIC.rglob("*") if path.suffix in _CONTENT_TYPES)
    return {path.relative_to(_STATIC).as_posix(): path.read_bytes() for path in paths}
