"""The audit names each line that asks the machine instead of the source, and no other line."""

import asyncio
import contextlib
import datetime
import inspect
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import structlog
from support.transfers import Account, Ask, Desk, Open, Transfer

from actorium import Aggregate, Command, Event, decide, evolve
from actorium.examples.bank import simulated as bank
from actorium.examples.orders import simulated as orders
from actorium.simulation import Faults, Simulation, World, simulation
from actorium.simulation.search.audit import Finding, audit
from actorium.store.source import SystemSource

SOURCE = SystemSource()

FORBIDDEN: dict[str, Callable[[], object]] = {
    "time.time": lambda: time.time(),
    "time.monotonic": lambda: time.monotonic(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns(),
    "time.sleep": lambda: time.sleep(0),
    "datetime.now": lambda: datetime.datetime.now(datetime.UTC),
    "datetime.today": lambda: datetime.datetime.today(),
    "date.today": lambda: datetime.date.today(),
    "random.random": lambda: random.random(),
    "random.uniform": lambda: random.uniform(0, 1),  # `choice` draws again and again, until a draw fits
    "random.Random() without a seed": lambda: random.Random(),
    "os.urandom": lambda: os.urandom(1),
    "secrets.token_hex": lambda: secrets.token_hex(),
    "uuid.uuid1": lambda: uuid.uuid1(),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "threading.Thread": lambda: threading.Thread(target=print),
    "ThreadPoolExecutor": lambda: ThreadPoolExecutor(1),
    "subprocess.run": lambda: subprocess.run("a command that is not there"),
    "os.posix_spawn": lambda: os.posix_spawn("/a/command/that/is/not/there", ["it"], {}),
    "socket.socket": lambda: socket.socket().close(),
    "actorium.store.source.now_us": lambda: SOURCE.now_us(),
}


def found_in(step: Callable[[], object]) -> list[Finding]:
    """The findings of the audit in a scenario that does a single thing."""

    async def scenario(world: World) -> None:
        await asyncio.sleep(1.0)
        with contextlib.suppress(OSError):
            step()

    return audit(simulation(faults=Faults.none())(scenario))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_each_call_that_asks_the_machine_is_found_once_at_its_line(what: str) -> None:
    step = FORBIDDEN[what]
    (finding,) = found_in(step)
    assert (finding.what, finding.count) == (what, 1)
    assert (finding.file, finding.line) == (__file__, inspect.getsourcelines(step)[1])
    assert finding.advice in str(finding)


def test_written_files_are_found_and_read_ones_are_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert [one.what for one in found_in(lambda: file.write_text("x"))] == ["pathlib.write_text"]
    assert [one.what for one in found_in(lambda: sqlite3.connect(tmp_path / "db").close())] == [
        "sqlite3.connect to a file"
    ]
    assert found_in(lambda: file.read_text()) == []
    assert found_in(lambda: sqlite3.connect(":memory:").close()) == []


def test_deterministic_calls_are_not_found() -> None:
    def plain() -> None:
        random.Random(7).shuffle([1, 2, 3])
        datetime.datetime.fromtimestamp(1_700_000_000, datetime.UTC)
        uuid.uuid5(uuid.NAMESPACE_URL, "actorium")
        time.gmtime(0)

    assert found_in(plain) == []


def test_a_call_by_an_installed_package_is_attributed_to_it() -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
        found = found_in(lambda: client.get("http://rates"))
    assert "httpx._client.get, which calls time.time" in [finding.what for finding in found]
    for finding in found:
        assert finding.file == __file__
        assert "an installed package makes this call" in finding.advice
        assert "recorded_at" not in finding.advice


def test_the_time_of_a_log_line_is_ignored() -> None:
    structlog.configure(processors=[structlog.processors.TimeStamper(), structlog.testing.LogCapture()])
    assert found_in(lambda: structlog.get_logger().info("said")) == []


def test_calls_of_one_line_are_counted() -> None:
    (finding,) = found_in(lambda: [time.time() for _ in range(3)])
    assert finding.count == 3
    assert str(finding).startswith(f"{__file__}:{finding.line}: time.time, 3 times: ")


class Stamp(Command):
    pass


class Stamped(Event):
    at_s: float


class Clock(Aggregate):
    at_s: float = 0.0

    @decide
    def stamp(self, command: Stamp) -> Stamped:
        return Stamped(time.time())

    @evolve
    def stamped(self, event: Stamped) -> None:
        self.at_s = event.at_s


@simulation(faults=Faults.none())
async def stamps(world: World) -> None:
    runtime = world.runtime([Clock])
    for _ in range(2):
        await runtime.send(Stamp("clock"))


def test_a_handler_that_reads_the_clock_is_named() -> None:
    (finding,) = audit(stamps)
    line = inspect.getsourcelines(Clock.__definition__.handlers[Stamp].method)[1] + 2
    assert (finding.what, finding.line) == ("time.time", line)
    assert finding.count >= 2  # the checks have it decide again


@simulation(faults=Faults.all(rate=0.05))
async def transfers(world: World) -> None:
    runtime = world.runtime([Account, Desk, Transfer])
    async with world.calm():
        for name in ("alice", "bob"):
            await runtime.send(Open(name, 100))
    for _ in range(3):
        await runtime.send(Ask("desk", "alice", "bob", 40))


@pytest.mark.parametrize(
    "example",
    [bank.transfers, bank.payments, orders.orchestration, orders.choreography, orders.credit_limit],
    ids=lambda example: example.name,
)
def test_the_examples_ask_the_machine_for_nothing(example: Simulation) -> None:
    assert audit(example) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_runtime_itself_asks_the_machine_for_nothing(seed: int) -> None:
    assert audit(transfers, seed) == []
