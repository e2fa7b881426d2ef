"""Arrivals at a fixed rate, from a process of its own that no slowness of the runtime slows down.

The sender (`python arrivals.py RATE SECONDS SEED`) writes the intended moment of each arrival to its standard output,
eight bytes each; all of them are laid down before the first, so what comes late was meant to come in time. The moments
are those of the system's monotonic clock, which all its processes share.
"""

import asyncio
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

# Arrivals of one tick come together: finer would only wake the sender more often than a processor can spare.
_TICK_S = 0.000_25
_HEAD_START_S = 0.05
# Taken from the pipe at once: a loop that is busy with arrivals for longer serves nobody else meanwhile.
_READ_BYTES = 64 * 8


def moments(rate: float, seconds: float, seed: int) -> list[float]:
    """Return when arrivals happen that know nothing of each other, as ticks from 0, in seconds."""
    chance = random.Random(seed)
    found = []
    at = chance.expovariate(rate)
    while at < seconds:
        found.append(int(at / _TICK_S) * _TICK_S)
        at += chance.expovariate(rate)
    return found


def send(rate: float, seconds: float, seed: int) -> None:
    """Write each arrival's moment when it has come."""
    times = moments(rate, seconds, seed)
    out = sys.stdout.fileno()
    start = time.perf_counter() + _HEAD_START_S
    sent = 0
    while sent < len(times):
        wait_s = start + times[sent] - time.perf_counter()
        if wait_s > 0:
            time.sleep(wait_s)
        now = time.perf_counter() - start
        due = sent
        while due < len(times) and times[due] <= now:
            due += 1
        packed = struct.pack(f"{due - sent}d", *(start + at for at in times[sent:due]))
        while packed:
            packed = packed[os.write(out, packed) :]
        sent = due


async def arrive(rate: float, seconds: float, seed: int, handle: Callable[[float], Awaitable[None]]) -> int:
    """Call `handle(intended moment)` for each arrival, side by side; return how many came when all are handled."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    over = loop.create_future()
    arrived = 0
    rest = b""
    command = [sys.executable, "-S", __file__, str(rate), str(seconds), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as sender:  # noqa: ASYNC220 - it is read without blocking
        assert sender.stdout is not None
        pipe = sender.stdout.fileno()

        def readable() -> None:
            nonlocal arrived, rest
            data = os.read(pipe, _READ_BYTES)
            if not data:
                loop.remove_reader(pipe)
                over.set_result(None)
                return
            data = rest + data
            whole = len(data) // 8 * 8
            rest = data[whole:]
            for (intended,) in struct.iter_unpack("d", data[:whole]):
                arrived += 1
                task = asyncio.ensure_future(handle(intended))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        loop.add_reader(pipe, readable)
        await over
    while tasks:
        await asyncio.wait(tasks)
    return arrived


if __name__ == "__main__":
    send(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
