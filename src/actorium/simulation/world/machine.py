"""The virtual machine of a simulated run: one clock, one queue of what is ready, and an event loop for each node.

Invariants: nothing here waits or asks the machine for the time; each step takes a little time of its own, and the clock
jumps to the next timer when nothing is ready; a dead loop runs nothing more. What is ready on one loop runs in the
order in which it became so, as asyncio promises.
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
"""A run of so many steps never ends, unless its simulation says that it does."""

_START_S = 1_000.0
# About what a step takes in truth. That it takes any time at all lets a timer ring while something spins, as a loop of
# `asyncio.sleep(0)` does, or anyio, which delivers a cancellation again at every turn.
_STEP_S = 0.000_005
# A timer that is due this soon may ring before what is ready: the steps in front of it took longer than usual.
_SLIP_S = 0.005
# How far from the head of the queue the first step of another loop is looked for.
_REACH = 16


class Stuck(Exception):
    """Nothing is ready, no timer is set, and the run is not over: something waits for what never happens."""


class Endless(Exception):
    """The run took more steps than it may: something spins."""


class SimulatedHandle(msgspec.Struct, eq=False):
    """A callback that is to run, as `asyncio.Handle` and `TimerHandle` are; a struct, because there are so many.

    `_when` is 0 for one that is ready. `_is_step`: it runs as a step of its loop; else it is called at its time.
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

    reorder: the part of the steps before which chance has a say: a timer that is due soon rings first, or another loop
    is served first. Steps of one loop never overtake each other: asyncio says that they do not, and correct code may
    rest on it.
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
        self._steps_max = steps_max
        self._meddles_at = self._next_meddling()

    def set_timer(self, handle: SimulatedHandle) -> None:
        """Take a timer."""
        heapq.heappush(self._timers, (handle._when, next(self._numbers), handle))

    @property
    def elapsed_s(self) -> float:
        """How long the run has taken, by its own clock."""
        return self.now_s - _START_S

    def clear(self) -> None:
        """Forget what would still have run: the run is over."""
        self.ready.clear()
        self._timers.clear()

    def in_order(self) -> None:
        """Have chance no say any more."""
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
        """Return the step at which chance has its next say; -1 for never."""
        if not self._reorder:
            return -1
        # The gap between two of many independent draws, each with the chance `reorder`.
        return self.steps + 1 + int(math.log(1.0 - self._random.random()) / math.log(1.0 - self._reorder))

    def _meddle(self, handle: SimulatedHandle) -> SimulatedHandle:
        """Let the next timer ring early, or return the first step of another loop instead of this one."""
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
        """Move the clock on and have everything run that is due by then, after what is ready."""
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
