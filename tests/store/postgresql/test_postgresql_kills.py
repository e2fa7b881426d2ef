"""Kills of the runtime, of the server and of its backends, under load, on real processes and a server of their own."""

import random
import signal
from collections.abc import Iterator

import pytest
from support.children import Child, check
from support.postgres import new_log, run_sql, with_options
from support.postgres_server import NO_FLUSH

from actorium.testing.postgresql.server import PostgresServer, own_server

KILLS = 6
SEED = 20_261_130
LEASE = {"lease_s": "0.6", "standby": "wait"}
APART = 1_000_000  # between the first commands of two processes


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that the test may kill."""
    with own_server(**NO_FLUSH) as found:
        yield found


@pytest.fixture
def own_url(server: PostgresServer) -> Iterator[str]:
    """The URL of a new log on that server."""
    with new_log(server.url()) as found:
        yield found


@pytest.mark.asyncio
async def test_a_killed_runtime_loses_and_doubles_nothing(url: str) -> None:
    chance = random.Random(SEED)
    acks: dict[int, tuple[int, int]] = {}
    for kill in range(1, KILLS + 1):
        child = Child(with_options(url, standby="wait"), kill * APART)
        child.run_until_acknowledged(chance.randint(1, 120))
        assert child.end(signal.SIGKILL) == -signal.SIGKILL
        acks |= child.acks
    await check(with_options(url, standby="wait"), acks, send_again=len(acks))


@pytest.mark.asyncio
async def test_who_stands_by_goes_on_where_the_killed_one_ended(url: str) -> None:
    store = with_options(url, **LEASE)
    acks: dict[int, tuple[int, int]] = {}
    active = Child(store, 0)
    active.run_until_acknowledged(1)
    for kill in range(1, KILLS + 1):
        standby = Child(store, kill * APART)
        active.run_until_acknowledged(50)
        assert active.end(signal.SIGKILL) == -signal.SIGKILL
        standby.run_until_acknowledged(1)
        acks |= active.acks
        active = standby
    assert active.end(signal.SIGINT) == 0
    await check(store, acks | active.acks, send_again=100)


@pytest.mark.asyncio
async def test_a_frozen_runtime_that_thaws_writes_nothing_and_ends(url: str) -> None:
    store = with_options(url, **LEASE)
    frozen = Child(store, 0)
    frozen.run_until_acknowledged(50)
    frozen.process.send_signal(signal.SIGSTOP)
    active = Child(store, APART)
    active.run_until_acknowledged(50)
    frozen.process.send_signal(signal.SIGCONT)
    while frozen.read():
        pass
    assert frozen.process.wait(timeout=30) == 0
    frozen.stdout.close()
    assert any(line.startswith("refused") for line in frozen.lines)
    active.run_until_acknowledged(100)
    assert active.end(signal.SIGINT) == 0
    await check(store, frozen.acks | active.acks, send_again=100)


@pytest.mark.asyncio
async def test_a_killed_server_costs_time_only(server: PostgresServer, own_url: str) -> None:
    child = Child(with_options(own_url, patience_s="60"), 0)
    for round_ in range(1, 3):
        child.run_until_acknowledged(50 * round_)
        server.kill()
        server.start()
    child.run_until_acknowledged(200)
    assert child.end(signal.SIGINT) == 0
    await check(own_url, child.acks, send_again=len(child.acks))


@pytest.mark.asyncio
async def test_killed_backends_cost_time_only(own_url: str) -> None:
    kill_one = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'actorium %' "
        "AND application_name NOT LIKE '% lease' ORDER BY random() LIMIT 1"
    )
    child = Child(with_options(own_url, patience_s="60"), 0)
    for _ in range(30):
        child.run_until_acknowledged(len(child.acks) + 5)
        await run_sql(own_url, kill_one)
    child.run_until_acknowledged(len(child.acks) + 5)
    assert child.end(signal.SIGINT) == 0
    await check(own_url, child.acks, send_again=len(child.acks))
