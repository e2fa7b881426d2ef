"""Nodes as real processes on a real PostgreSQL server: killed, frozen, joining and leaving under load."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from support.children import Child, check
from support.postgres import new_log

APART = 1_000_000  # between the first commands of two processes


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a new log; its lease is so long that a busy machine lets none run out."""
    with new_log(lease_s="30") as found:
        yield found


@pytest.fixture
def short_lease_url() -> Iterator[str]:
    """The URL of a new log with a lease that a test waits for."""
    with new_log(lease_s="6") as found:
        yield found


def acknowledged(*children: Child) -> dict[int, tuple[int, int]]:
    """What the processes have acknowledged."""
    return {number: place for child in children for number, place in child.acks.items()}


def names_of_nodes(url: str) -> list[str]:
    """The names of the nodes that the log knows."""
    listing = [sys.executable, "-m", "actorium", "nodes", "--at", url, "--json", "-"]
    done = subprocess.run(listing, stdout=subprocess.PIPE, timeout=60, check=True)
    return [node["name"] for node in msgspec.json.decode(done.stdout)["nodes"]]


def stop(*children: Child) -> None:
    """Stop processes in order, and expect that each ends well."""
    for child in children:
        assert child.end(signal.SIGINT) == 0


@pytest.mark.asyncio
async def test_a_killed_node_loses_and_doubles_nothing(url: str) -> None:
    one, two = Child(url, 0, "one"), Child(url, APART, "two")
    lives = [one, two]
    for kill in range(1, 4):
        for child in (one, two):
            child.run_until_acknowledged(len(child.acks) + 60)
        assert one.end(signal.SIGKILL) == -signal.SIGKILL
        # More than the commands under way: those for the shards of the killed node are answered too.
        two.run_until_acknowledged(len(two.acks) + 200)
        one = Child(url, (kill + 1) * APART, "one")
        lives.append(one)
    one.run_until_acknowledged(60)
    stop(one, two)
    acks = acknowledged(*lives)
    await check(url, acks, send_again=200)


@pytest.mark.asyncio
async def test_a_frozen_node_that_thaws_writes_nothing_and_ends(short_lease_url: str) -> None:
    url = short_lease_url
    # The first of these names owns three of the tallies, so no other process gets far before it has taken them over.
    nodes = [Child(url, number * APART, name) for number, name in enumerate("abc")]
    for child in nodes:
        child.run_until_acknowledged(60)
    frozen, *others = nodes
    frozen.process.send_signal(signal.SIGSTOP)
    while "a" in names_of_nodes(url):  # until then it may still write when it thaws
        for child in others:
            child.run_until_acknowledged(len(child.acks) + 20)
    frozen.process.send_signal(signal.SIGCONT)
    while frozen.read():
        pass
    assert frozen.process.wait(timeout=60) == 0
    frozen.stdout.close()
    assert any(line.startswith("refused") for line in frozen.lines)
    for child in others:
        child.run_until_acknowledged(len(child.acks) + 60)
    stop(*others)
    await check(url, acknowledged(*nodes), send_again=200)


@pytest.mark.asyncio
async def test_nodes_that_join_and_leave_fail_no_command(url: str) -> None:
    nodes = [Child(url, 0, "first")]
    nodes[0].run_until_acknowledged(60)
    for number in range(1, 4):
        nodes.append(Child(url, number * APART, f"node {number}"))
        for child in nodes[-2:]:
            child.run_until_acknowledged(len(child.acks) + 60)
        stop(nodes[-2])
    nodes[-1].run_until_acknowledged(len(nodes[-1].acks) + 60)
    stop(nodes[-1])
    assert not [line for child in nodes for line in child.lines if line.startswith("unknown")]
    await check(url, acknowledged(*nodes), send_again=200)
