"""A node under load: `python -m actorium.benchmarks.nodes.node <url> <name>`.

It writes `serves` when it accepts commands. Each line on standard input is an order, `<which> <callers> <seconds>`;
`which` says where the commands go: to accounts of any node, to its `own` or to `other` ones. With 0 seconds, each of
these accounts gets one command to warm it up. It answers with a line of JSON: a `NodeLoad`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from actorium import Runtime
from actorium.benchmarks.account import Account, Deposit
from actorium.cluster import Cluster
from actorium.runtime.cluster.shards import shard_of
from actorium.store.shared import ClusterStore

ACCOUNTS = 2_000
_AMOUNT = 5


class NodeLoad(msgspec.Struct):
    """What one node did: the commands that were acknowledged to its callers, and the CPU time of its process."""

    commands: int = 0
    cpu_s: float = 0.0


async def owned_by(runtime: Runtime, name: str) -> Callable[[str, str], bool]:
    """Return a function that says whether a stream, given its type and id, belongs to the node with a name."""
    store = runtime.store
    assert isinstance(store, ClusterStore), "a node has a log that nodes share"
    members, placement = await store.cluster_state()
    me = next(one.number for one in members.nodes if one.name == name)
    return lambda stream_type, id: placement.shards[shard_of(stream_type, id)] == me


async def ids(runtime: Runtime, name: str, which: str) -> list[str]:
    """Return the accounts that belong to any node, to the one with a name (`own`), or to `other` ones."""
    found = [f"account-{number}" for number in range(ACCOUNTS)]
    if which == "any":
        return found
    is_own = await owned_by(runtime, name)
    return [id for id in found if is_own(Account.__name__, id) == (which == "own")]


async def orders() -> AsyncIterator[list[str]]:
    """Say that this node serves, and yield the words of each line on standard input until it ends."""
    print("serves", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        yield line


async def load(runtime: Runtime, targets: list[str], callers: int, seconds: float) -> int:
    """Send commands from callers that wait for their acknowledgements; return how many there were."""
    ends = time.perf_counter() + seconds
    chance = random.Random(1)

    async def call() -> int:
        count = 0
        while time.perf_counter() < ends:
            await runtime.send(Deposit(chance.choice(targets), _AMOUNT))
            count += 1
        return count

    return sum(await asyncio.gather(*(call() for _ in range(callers))))


async def warm_up(runtime: Runtime, targets: list[str], callers: int) -> int:
    """Send one command to each account; return how many there were."""

    async def call(number: int) -> None:
        for target in targets[number::callers]:
            await runtime.send(Deposit(target, _AMOUNT))

    await asyncio.gather(*(call(number) for number in range(callers)))
    return len(targets)


async def _main(url: str, name: str) -> None:
    async with Runtime([Account], store=url, cluster=Cluster(node=name)) as runtime:
        async for line in orders():
            which, callers, seconds = line[0], int(line[1]), float(line[2])
            targets = await ids(runtime, name, which) if callers else []
            begun_s, began = time.process_time(), time.perf_counter()
            if seconds:
                commands = await load(runtime, targets, callers, seconds)
            else:
                commands = await warm_up(runtime, targets, callers)
            await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - began)))  # without callers, it only serves
            print(msgspec.json.encode(NodeLoad(commands, time.process_time() - begun_s)).decode(), flush=True)


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(_main(*sys.argv[1:]))
