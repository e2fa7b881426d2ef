"""`reached`: the application that a command is about: itself while it runs, or its log."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from cyclopts import Parameter

from actorium.commands.problem import Problem, WrongUse, require_file
from actorium.commands.screen import Screen
from actorium.console import LogConsole
from actorium.console.api.http import ProblemBody, Scope
from actorium.console.api.views import ActionReport
from actorium.console.control import PATH_BYTES_MAX, socket_path
from actorium.health import Health
from actorium.inspection import require_log
from actorium.store.event_store import EventStore, Examinable
from actorium.store.sqlite.adapter import SQLiteStore
from actorium.store.urls import file_store, open_store

T = TypeVar("T")

ANSWER_S = 60.0
_WORK_S = 3_600.0  # for what goes through the log, such as the dry run of a case


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Where the application of a command is; the options `--at` and `--token-file`."""

    at: Annotated[
        str,
        Parameter(
            name="--at",
            help="Where the application is: the SQLite file of its log, its control socket, the URL of its console "
            "(https://host/actorium), or the URL of its log (postgresql://host/database).",
        ),
    ]
    token_file: Annotated[
        Path | None, Parameter(name="--token-file", help="The file that holds a token of the console at --at.")
    ] = None


LogPlace = Annotated[
    str, Parameter(name="--at", help="Where the log is: its SQLite file, or its URL (postgresql://host/database).")
]
"""The option of a command that reads a log, whether its application runs or not."""

Reason = Annotated[str, Parameter(name="--reason", help="Why; it is recorded in the log, with your name.")]
"""The option that says why an operator acts."""


class Application:
    """Sends requests to an application's admin API; the subclasses say how.

    name: the application in messages.
    """

    is_running: bool

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self, path: str, answered: type[T], **query: Any) -> T:
        """Return the answer to a question; query values that are None, empty or 0 are left out."""
        wanted = {name: value for name, value in query.items() if value not in (None, "", 0, [], ())}
        return self._answer("GET", f"/api/{path}?{urlencode(wanted, doseq=True)}", b"", answered)

    def ready(self) -> Health:
        """Return whether a running application is ready to work, and why not."""
        return self._decoded(*self._request("GET", "/api/health/ready", b""), Health)

    def require_running(self) -> None:
        """Raise Problem if only the log of the application can be reached."""

    def act(self, path: str, **body: Any) -> ActionReport:
        """Carry out an action on a running application; raise Problem if it does not run."""
        self.require_running()
        return self._answer("POST", f"/api/{path}", msgspec.json.encode(body), ActionReport)

    def carry_out(self, path: str, answered: type[T], **body: Any) -> T:
        """Carry out an action that may take an hour; raise Problem if the application does not run."""
        self.require_running()
        return self._answer("POST", f"/api/{path}", msgspec.json.encode(body), answered, _WORK_S)

    def _answer(self, method: str, target: str, body: bytes, answered: type[T], answer_s: float = ANSWER_S) -> T:
        status, content = self._request(method, target, body, answer_s)
        if status != 200:
            raise Problem(self._refusal(status, self._decoded(status, content, ProblemBody).message))
        return self._decoded(status, content, answered)

    def _refusal(self, status: int, message: str) -> str:
        """Return what to say of a request that was refused."""
        return message

    def _decoded(self, status: int, content: bytes, wanted: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=wanted)
        except msgspec.DecodeError as error:
            raise Problem(f"{self.name} answered {status}, but not as a console of this version does") from error

    def _request(self, method: str, target: str, body: bytes, answer_s: float = ANSWER_S) -> tuple[int, bytes]:
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
    """An application that serves its console.

    connection: makes a connection to it.
    root: the path under which the console is mounted.
    token: a token of the console; empty for the control socket, which needs none.
    """

    is_running = True

    def __init__(
        self, name: str, connection: Callable[[], http.client.HTTPConnection], root: str = "", token: str = ""
    ) -> None:
        super().__init__(name)
        self._connection = connection
        self._root = root
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def _refusal(self, status: int, message: str) -> str:
        if status != HTTPStatus.UNAUTHORIZED:
            return message
        if "Authorization" in self._headers:
            return f"{self.name} does not know this token: check the file of --token-file"
        return f"{self.name} wants a token: write it to a file, and give its name with --token-file"

    def _request(self, method: str, target: str, body: bytes, answer_s: float = ANSWER_S) -> tuple[int, bytes]:
        connection = self._connection()
        connection.timeout = answer_s
        try:
            connection.request(method, self._root + target, body, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Problem(f"{self.name} did not answer: {error}") from error
        finally:
            connection.close()


class StoppedApplication(Application):
    """The log of an application that cannot be reached.

    remedy: how to reach the application itself, for messages.
    """

    is_running = False

    def __init__(self, name: str, remedy: str, runner: asyncio.Runner, console: LogConsole) -> None:
        super().__init__(name)
        self._remedy = remedy
        self._runner = runner
        self._console = console

    def require_running(self) -> None:
        """Raise Problem, with the remedy."""
        raise Problem(f"the application of {self.name} cannot be reached: {self._remedy}")

    def _refusal(self, status: int, message: str) -> str:
        return f"{message}: {self._remedy}" if status == HTTPStatus.CONFLICT else message

    def _request(self, method: str, target: str, body: bytes, answer_s: float = ANSWER_S) -> tuple[int, bytes]:
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


def _of_socket(place: Path) -> RunningApplication:
    return RunningApplication(f"the application at {place}", lambda: _UnixConnection(place))


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
def reached(where: Where, screen: Screen) -> Iterator[Application]:
    """Reach an application while the block runs: itself, or its log if it cannot be reached."""
    if where.at.partition("://")[0] in ("http", "https"):
        yield _of_console(where)
        return
    if where.token_file is not None:
        raise WrongUse("--token-file is for the URL of a console: --at https://host/actorium --token-file FILE")
    if Path(where.at).is_socket():
        yield _of_socket(Path(where.at))
        return
    store = log_at(where.at)
    if isinstance(store, SQLiteStore):
        if is_served(Path(store.path)):
            yield _of_socket(socket_path(store.path))
            return
        why = f"nobody serves {socket_path(store.path)}"
        remedy = f"{why}. Start the application, with control_socket(runtime), and try again"
    else:
        why = "this is the URL of a log"
        remedy = "give the URL of its console: --at https://host/actorium --token-file FILE"
    name = store.describe() if "://" in where.at else where.at  # a URL may hold a password
    screen.note(f"{why}, so this is read from the log: {name}")
    with asyncio.Runner() as runner:
        runner.run(opened(store))
        try:
            yield StoppedApplication(name, remedy, runner, LogConsole(store))
        finally:
            runner.run(store.close())


def log_at(place: str) -> Examinable:
    """Return the store of the log at a path or URL, not yet opened; raise WrongUse if there cannot be one."""
    if "://" not in place:
        require_file(Path(place), "a log")
        return file_store(place)
    store: EventStore = open_store(place)
    if not isinstance(store, Examinable):
        raise WrongUse(f"{store.describe()} belongs to one process: no other can read it")
    if isinstance(store, SQLiteStore):
        require_file(Path(store.path), "a log")
    return store


async def opened(store: Examinable) -> None:
    """Open a log read-only; raise ConfigurationError if there is none."""
    await require_log(store)
    await store.open(verified=False, read_only=True)


def _of_console(where: Where) -> RunningApplication:
    url = urlsplit(where.at)
    if not url.hostname or url.query or url.fragment or url.username is not None:
        raise WrongUse(f"--at {where.at!r}: write the URL of a console as https://host/actorium")
    try:
        host, port = url.hostname, url.port
    except ValueError as error:
        raise WrongUse(f"--at {where.at!r}: {error}") from error
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    token = "" if where.token_file is None else _token_in(where.token_file)
    name = f"the console at {where.at}"
    return RunningApplication(name, lambda: kind(host, port, timeout=ANSWER_S), url.path.rstrip("/"), token)


def _token_in(file: Path) -> str:
    require_file(file, "a file with a token")
    token = file.read_text(encoding="utf-8", errors="replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise WrongUse(f"{file} holds no token: write one token of the console into it, in one line")
    return token
