"""`Application`: a running application, reached by the control socket beside its log, or the log of a stopped one."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from cyclopts import Parameter

from actorium.commands.problem import Problem, require_file
from actorium.commands.screen import Screen
from actorium.console import LogConsole
from actorium.console.api.http import ProblemBody, Scope
from actorium.console.api.views import ActionReport
from actorium.console.control import PATH_BYTES_MAX, socket_path
from actorium.health import Health
from actorium.store.urls import file_store

T = TypeVar("T")

ANSWER_S = 60.0

Db = Annotated[
    Path,
    Parameter(name="--db", help="The SQLite file of the application's log; the control socket is the file beside it."),
]
"""The option that names the application of a command by its log."""

Reason = Annotated[str, Parameter(name="--reason", help="Why; it is recorded in the log, with your name.")]
"""The option that says why an operator acts."""


class Application:
    """Sends requests to an application's admin API; the subclasses say how."""

    is_running: bool

    def __init__(self, db: Path) -> None:
        self.db = db

    def get(self, path: str, answered: type[T], **query: Any) -> T:
        """Return the answer to a question; query values that are None, empty or 0 are left out."""
        wanted = {name: value for name, value in query.items() if value not in (None, "", 0, [], ())}
        return self._answer("GET", f"/api/{path}?{urlencode(wanted, doseq=True)}", b"", answered)

    def ready(self) -> Health:
        """Return whether a running application is ready to work, and why not."""
        return msgspec.json.decode(self._request("GET", "/api/health/ready", b"")[1], type=Health)

    def act(self, path: str, **body: Any) -> ActionReport:
        """Carry out an action on a running application; raise Problem if it does not run."""
        if not self.is_running:
            raise Problem(
                f"the application of {self.db} cannot be reached: nobody serves {socket_path(self.db)}. Start the "
                "application, with control_socket(runtime), and try again",
            )
        return self._answer("POST", f"/api/{path}", msgspec.json.encode(body), ActionReport)

    def _answer(self, method: str, target: str, body: bytes, answered: type[T]) -> T:
        status, content = self._request(method, target, body)
        if status != 200:
            raise Problem(msgspec.json.decode(content, type=ProblemBody).message)
        return msgspec.json.decode(content, type=answered)

    def _request(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        raise NotImplementedError


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, place: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._place = place

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._place))


class RunningApplication(Application):
    """An application that serves its control socket."""

    is_running = True

    def _request(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        connection = _UnixConnection(socket_path(self.db))
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Problem(f"the application of {self.db} did not answer: {error}") from error
        finally:
            connection.close()


class StoppedApplication(Application):
    """The log of an application that cannot be reached."""

    is_running = False

    def __init__(self, db: Path, runner: asyncio.Runner, console: LogConsole) -> None:
        super().__init__(db)
        self._runner = runner
        self._console = console

    def _request(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        scope: Scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
        scope["headers"] = [(b"host", b"localhost")]
        return self._runner.run(self._ask(scope))

    async def _ask(self, scope: Scope) -> tuple[int, bytes]:
        status, content = 0, b""

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, content
            status = message.get("status", status)
            content += message.get("body", b"")

        await self._console(scope, receive, send)
        return status, content


def is_served(db: Path) -> bool:
    """Return whether a running application serves the control socket of a log."""
    place = socket_path(db)
    if len(os.fsencode(place)) > PATH_BYTES_MAX:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_S)
        try:
            probe.connect(os.fspath(place))
        except OSError:
            return False
    return True


@contextmanager
def reached(db: Path, screen: Screen) -> Iterator[Application]:
    """Reach the application of a log while the block runs: itself, or its log if it cannot be reached."""
    require_file(db, "a log")
    if is_served(db):
        yield RunningApplication(db)
        return
    screen.note(f"nobody serves {socket_path(db)}, so this is read from the log: {db}")
    store = file_store(db)
    with asyncio.Runner() as runner:
        runner.run(store.open(verified=False, read_only=True))
        try:
            yield StoppedApplication(db, runner, LogConsole(store))
        finally:
            runner.run(store.close())
