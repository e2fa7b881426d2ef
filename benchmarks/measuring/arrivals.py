"""Arrivals at a fixed rate, sent by a separate process that a slow runtime cannot slow down.

The sender (`python arrivals.py RATE SECONDS SEED`) writes the intended time of each arrival to its standard output, in
eight bytes each. All of the times are fixed before the first arrival, so a late arrival still counts from its intended
time. The times are those of the system's monotonic clock, which all processes share.
"""

import asyncio
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

# Arrivals within one tick are sent together: a finer tick would only wake the sender more often than it can afford.
_TICK_S = 0.000_25
_HEAD_START_S = 0.05
# The number read from the pipe at once: a loop that handles more arrivals in one go serves nothing else meanwhile.
_READ_BYTES = 1_024 * 8

Handle = Callable[[float], Coroutine[Any, Any, None] | None]
"""Handles the arrival with this intended time; None if there is nothing to do."""


def moments(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the times of independent arrivals, rounded to ticks and starting at 0, in seconds."""
    chance = random.Random(seed)
    found = []
    at = chance.expovariate(rate)
    while at < seconds:
        found.append(int(at / _TICK_S) * _TICK_S)
        at += chance.expovariate(rate)
    return found


def send(rate: float, seconds: float, seed: int) -> None:
    """Write the time of each arrival when it comes."""
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


class _Handlers:
    """Runs coroutines concurrently without a task for each, which would cost more than the work to be measured.

    A coroutine may await futures of the loop, but not ask for its task. `ended` completes when no coroutine is left
    and no more arrivals come, or when one has failed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running = 1  # the arrivals themselves
        self.ended: asyncio.Future[None] = loop.create_future()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._running += 1
        self._advance(work)

    def no_more(self) -> None:
        self._running -= 1
        if not self._running and not self.ended.done():
            self.ended.set_result(None)

    def _advance(self, work: Coroutine[Any, Any, None], _: object = None) -> None:
        try:
            awaited = work.send(None)
        except StopIteration:
            self.no_more()
        except Exception as failure:
            if not self.ended.done():
                self.ended.set_exception(failure)
        else:
            if awaited is None:
                self._loop.call_soon(self._advance, work)
            else:
                awaited.add_done_callback(partial(self._advance, work))


async def arrive(rate: float, seconds: float, seed: int, handle: Handle) -> int:
    """Handle arrivals concurrently; return their number when all have been handled."""
    loop = asyncio.get_running_loop()
    handlers = _Handlers(loop)
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
                handlers.no_more()
                return
            data = rest + data
            whole = len(data) // 8 * 8
            rest = data[whole:]
            for (intended,) in struct.iter_unpack("d", data[:whole]):
                arrived += 1
                work = handle(intended)
                if work is not None:
                    handlers.begin(work)

        loop.add_reader(pipe, readable)
        try:
            await handlers.ended
        finally:
            loop.remove_reader(pipe)
            sender.kill()
    return arrived


if __name__ == "__main__":
    send(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
