"""A separate process on one log: sends commands and writes a line to stdout after each acknowledgement.

`python child.py <store> <first> [<node>]`: the store is a URL; with a name, the process is a node of a cluster.
Command n is `Add(to=f"t{n % 7}", amount=n, events=1 + n % 3)`
with the id `c<n>`, from `first` on. It goes on until it is killed or interrupted.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.bank import Add, Tally

from actorium import Runtime
from actorium.cluster import Cluster
from actorium.errors import OutcomeUnknown, RuntimeClosed
from actorium.store.errors import Fenced

CALLERS = 24


def command(number: int) -> Add:
    return Add(f"t{number % 7}", number, events=1 + number % 3)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def call(runtime: Runtime, numbers: "itertools.count[int]") -> None:
    for number in numbers:
        while True:
            try:
                ack = await runtime.send(command(number), command_id=f"c{number}")
                break
            except OutcomeUnknown:
                say(f"unknown {number}")  # and sent again, under the same id
            except (RuntimeClosed, Fenced):
                say(f"refused {number}")
                return
        say(f"ack {number} {ack.version} {ack.position}")


async def main(store: str, first: int, node: str) -> None:
    cluster = Cluster(node=node) if node else None
    async with Runtime([Tally], store=store, cluster=cluster) as runtime:
        say("ready")
        numbers = itertools.count(first)
        callers = [asyncio.create_task(call(runtime, numbers)) for _ in range(CALLERS)]
        try:
            await asyncio.gather(*map(asyncio.shield, callers))
        finally:
            say("stopping")
            await runtime.stop()
            await asyncio.gather(*callers)
            say("stopped")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), "".join(sys.argv[3:])))
    except KeyboardInterrupt:
        say("interrupted")
