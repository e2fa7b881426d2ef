"""The virtual machine of a simulated run: one clock, one ready queue, and an event loop for each node.

Invariants: nothing here waits or reads the real clock. Each step takes a little virtual time, and the clock jumps to
the next timer when nothing is ready. A dead loop runs nothing more. The callbacks of one loop run in the order in which
they became ready, as asyncio promises.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable
from contextvars import Context
from itertools import count
from typing import Any

import msgspec

STEPS_MAX = 500_000
"""A run of this many steps counts as endless, unless its simulation sets another limit."""

_START_S = 1_000.0
# About the real time of a step. Because a step takes time, a timer can expire while code spins, such as a loop of
# `asyncio.sleep(0)`, or anyio, which delivers a cancellation again on every iteration.
_STEP_S = 0.000_005
# A timer due this soon may expire before the ready callbacks run: the steps before it took longer than usual.
_SLIP_S = 0.005
# How far from the head of the queue to look for the first step of another loop.
_REACH = 16


class Stuck(Exception):
    """Nothing is ready, no timer is set, and the run is not over: something waits for an event that never happens."""


class Endless(Exception):
    """The run took more steps than allowed: something spins."""


class SimulatedHandle(msgspec.Struct, eq=False):
    """A scheduled callback, like `asyncio.Handle` and `TimerHandle`; a struct, because there are very many of them.

    `_when` is 0 for a ready handle. `_is_step`: the callback runs as a step of its loop; otherwise it runs at its time.
    """

    _when: float
    _callback: Callable[..., Any]
    _args: tuple[Any, ...]
    _loop: Any  # a SimulatedLoop
    _context: Context
    _is_step: bool = True
    _cancelled: bool = False

    def __repr__(self) -> str:
        return f"<handle of {self._loop.name}: {getattr(self._callback, '__qualname__', 'a callback')}>"

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self._when


class Machine:
    """The clock, the ready queue and the timers that all loops of a world share.

    reorder: the share of the steps before which the order may change at random: a timer that is due soon expires first,
        or another loop runs first. Steps of one loop never overtake each other: asyncio guarantees that, and correct
        code may depend on it.
    """

    def __init__(self, seed: int, *, reorder: float = 0.0, steps_max: int = STEPS_MAX) -> None:
        self.now_s = _START_S
        self.steps = 0
        self.is_over = False
        self.ready: deque[SimulatedHandle] = deque()
        self._timers: list[tuple[float, int, SimulatedHandle]] = []
        self._numbers = count()
        self._random = random.Random(seed)
        self._reorder = reorder
        self._log_of_rest = math.log(1.0 - reorder)
        self._steps_max = steps_max
        self._meddles_at = self._next_meddling()

    def set_timer(self, handle: SimulatedHandle) -> None:
        """Schedule a timer."""
        heapq.heappush(self._timers, (handle._when, next(self._numbers), handle))

    @property
    def elapsed_s(self) -> float:
        """The duration of the run on its own clock, in seconds."""
        return self.now_s - _START_S

    def clear(self) -> None:
        """Forget everything that is still scheduled: the run is over."""
        self.ready.clear()
        self._timers.clear()

    def in_order(self) -> None:
        """Stop changing the order at random."""
        self._reorder = 0.0
        self._meddles_at = -1

    def run(self) -> None:
        """Run step by step until `is_over`; raise Stuck or Endless."""
        ready, timers = self.ready, self._timers
        running: Any = None
        before = asyncio._get_running_loop()
        try:
            while not self.is_over:
                if not ready:
                    self._jump()
                    continue
                handle = ready.popleft()
                loop = handle._loop
                if handle._cancelled or (loop.is_apart and not loop.admits(handle)):
                    continue
                self.steps = steps = self.steps + 1
                self.now_s += _STEP_S
                if timers and timers[0][0] <= self.now_s:
                    self._ring(self.now_s)
                if steps == self._meddles_at:
                    handle = self._meddle(handle)
                    loop = handle._loop
                if steps > self._steps_max:
                    raise Endless(f"the run was not over after {self._steps_max} steps, at {self.elapsed_s:.3f} s")
                loop.steps += 1
                if loop.steps == loop.alarm_at and not loop.survives_alarm(handle):
                    continue
                if loop is not running:
                    _set_running_loop(loop)
                    running = loop
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    loop.call_exception_handler(
                        {"message": f"Exception in {handle!r}", "exception": error, "handle": handle}
                    )
        finally:
            _set_running_loop(before)

    def _next_meddling(self) -> int:
        """Return the next step at which the order is changed at random, or -1 for never."""
        if not self._reorder:
            return -1
        # The gap between two hits of many independent draws, each with the probability `reorder`.
        return self.steps + 1 + int(math.log(1.0 - self._random.random()) / self._log_of_rest)

    def _meddle(self, handle: SimulatedHandle) -> SimulatedHandle:
        """Let the next timer expire early, or return the first step of another loop instead of this one."""
        self._meddles_at = self._next_meddling()
        timers, ready = self._timers, self.ready
        if self._random.random() < 0.5:
            if timers and timers[0][0] - self.now_s < _SLIP_S:
                self._ring(max(self.now_s, timers[0][0]))
            return handle
        for place in range(min(_REACH, len(ready))):
            other = ready[place]
            if other._loop is not handle._loop and not other._cancelled and not other._loop.is_apart:
                del ready[place]
                ready.appendleft(handle)
                return other
        return handle

    def _ring(self, now_s: float) -> None:
        """Advance the clock, and queue everything due by then after the ready callbacks."""
        self.now_s = now_s
        timers = self._timers
        while timers and timers[0][0] <= now_s:
            handle = heapq.heappop(timers)[2]
            if handle._cancelled:
                continue
            if handle._is_step:
                self.ready.append(handle)
            else:
                handle._callback(*handle._args)

    def _jump(self) -> None:
        timers = self._timers
        while timers and (timers[0][2]._cancelled or timers[0][2]._loop.is_dead):
            heapq.heappop(timers)
        if not timers:
            raise Stuck("every task waits for something that will never happen")
        self._ring(max(self.now_s, timers[0][0]))
