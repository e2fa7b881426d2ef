"""The virtual machine of a simulated run: one clock, one queue of what is ready, and an event loop for each node.

Invariants: nothing here waits or asks the machine for the time; the clock stands still while anything is ready and
jumps to the next timer when nothing is; a dead loop runs nothing more and takes nothing more; every task made is held
until the run is over, so that no abandoned coroutine is closed by the garbage collector in the middle of it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

# How far from the head of the queue the next step may be picked. Small, and the head is always among them, so that
# nothing waits for ever: anyio puts the delivery of a cancellation back into the queue at every turn.
_REACH = 4
_START_S = 1_000.0


class Stuck(Exception):
    """Nothing is ready, no timer is set, and the run is not over: something waits for what never happens."""


class Endless(Exception):
    """The run took more steps, or more simulated time, than it may: something spins."""


class Machine:
    """The clock, the ready queue and the timers that all loops of a world share."""

    def __init__(self, seed: int, *, reorder: float = 0.0, max_steps: int = 2_000_000) -> None:
        self.now_s = _START_S
        self.steps = 0
        self.ready: deque[asyncio.Handle] = deque()
        self.deepest = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._random = random.Random(seed)
        self._reorder = reorder
        self._max_steps = max_steps

    def set_timer(self, handle: asyncio.TimerHandle) -> None:
        """Take a timer."""
        heapq.heappush(self._timers, (handle.when(), next(self._numbers), handle))

    def in_order(self) -> None:
        """Run what is ready in the order in which it became so, from now on."""
        self._reorder = 0.0

    def run_until(self, is_over: Callable[[], bool], until_s: float = float("inf")) -> None:
        """Run step by step until a condition holds; raise Stuck or Endless."""
        ready = self.ready
        running: asyncio.AbstractEventLoop | None = None
        before = asyncio._get_running_loop()
        try:
            while not is_over():
                if not ready:
                    self._jump(until_s)
                    continue
                handle = self._next()
                loop: SimulatedLoop = handle._loop  # type: ignore[attr-defined]
                if loop.is_dead or handle._cancelled:
                    continue
                if loop.is_held and not loop.passes(handle):
                    continue
                self.steps += 1
                if self.steps > self._max_steps:
                    raise Endless(f"the run was not over after {self._max_steps} steps, at {self.now_s:.3f} s")
                loop.steps += 1
                if loop.steps == loop.alarm_at and not loop.survives_alarm():
                    continue
                if loop is not running:
                    _set_running_loop(loop)
                    running = loop
                handle._run()
        finally:
            _set_running_loop(before)

    def _next(self) -> asyncio.Handle:
        ready = self.ready
        if self._reorder and len(ready) > 1 and self._random.random() < self._reorder:
            place = self._random.randrange(min(_REACH, len(ready)))
            handle = ready[place]
            del ready[place]
            return handle
        return ready.popleft()

    def _jump(self, until_s: float) -> None:
        timers = self._timers
        while timers and (timers[0][2]._cancelled or timers[0][2]._loop.is_dead):  # type: ignore[attr-defined]
            heapq.heappop(timers)
        if not timers:
            raise Stuck("every task waits for something that will never happen")
        if timers[0][0] > until_s:
            raise Endless(f"the run was not over at {until_s:.3f} s of simulated time")
        self.now_s = max(self.now_s, timers[0][0])
        while timers and timers[0][0] <= self.now_s:
            handle = heapq.heappop(timers)[2]
            handle._scheduled = False  # type: ignore[attr-defined]
            self.ready.append(handle)


class SimulatedLoop(asyncio.BaseEventLoop):
    """The event loop of one incarnation of a node: ordinary asyncio and anyio code runs on it unchanged.

    There is no network, no subprocess and no signal; what is given to an executor runs at once, in place.
    """

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.is_dead = False
        self.is_held = False
        self.steps = 0
        self.alarm_at = 0
        self._alarm: Callable[[], None] | None = None
        self._held: list[asyncio.Handle] = []
        self._release: asyncio.TimerHandle | None = None
        super().__init__()
        self.tasks: list[asyncio.Task[Any]] = []
        self.unseen: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"<loop of {self.name}>"

    def time(self) -> float:
        return self.machine.now_s

    def is_running(self) -> bool:
        return not self.is_dead

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.is_dead:
            self.machine.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there are no threads

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        handle._scheduled = True  # type: ignore[attr-defined]
        if not self.is_dead:
            self.machine.set_timer(handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return NumberedFuture(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **kwargs: Any
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = NumberedTask(coro, loop=self, name=name or self.name, context=context)
        self.tasks.append(task)
        if len(self.tasks) > 512 and len(self.tasks) % 512 == 0 and not self.is_dead:
            self.tasks = [one for one in self.tasks if not one.done()]
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self.unseen.append(context)

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended, in the order in which they were made."""
        return [task for task in self.tasks if not task.done()]

    def set_alarm(self, at_step: int, alarm: Callable[[], None]) -> None:
        """Have something called before a step of this loop, counted from 1; one alarm at a time."""
        self.alarm_at, self._alarm = at_step, alarm

    def survives_alarm(self) -> bool:
        """Call what was set; say whether the loop still lives."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm()
        return not self.is_dead

    def hold_until(self, when_s: float) -> None:
        """Run nothing until a time, as a process does that is stopped or collects garbage for long."""
        self.is_held = True
        self._release = self.call_at(when_s, self._go_on)

    def passes(self, handle: asyncio.Handle) -> bool:
        """Say whether a handle may run though the loop is held; keep it for later if not."""
        if handle is self._release:
            return True
        self._held.append(handle)
        return False

    def _go_on(self) -> None:
        self.is_held, self._release = False, None
        held, self._held = self._held, []
        self.machine.ready.extendleft(reversed(held))

    def die(self) -> None:
        """Stop as a process does that is killed: nothing of it runs any more, no `finally`, no callback."""
        self.is_dead = True

    def bury(self) -> None:
        """Close what was left hanging, once nothing of it can do harm any more: the run is over."""
        self.is_dead = True
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                try:
                    task.get_coro().close()
                except BaseException:  # whatever its `finally` blocks say: the world they speak of is gone
                    continue
        self.tasks.clear()
        self._ready.clear()  # type: ignore[attr-defined]
        self._closed = True


_next_number = count().__next__


def _number_of(thing: Any) -> int:
    try:
        number: int = thing._number
    except AttributeError:
        number = thing._number = _next_number()
    return number


class NumberedFuture(asyncio.Future[Any]):
    """A future whose hash is a number given in order, so that sets of them have one order in every process."""

    __slots__ = ("_number",)
    __hash__ = _number_of


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is a number given in order: anyio keeps sets of tasks."""

    __slots__ = ("_number",)
    __hash__ = _number_of


def begin_numbers() -> None:
    """Begin the numbers anew: each run has the same."""
    global _next_number
    _next_number = count().__next__
