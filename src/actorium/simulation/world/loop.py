"""The event loop of one incarnation of a node: ordinary asyncio and anyio code runs on it unchanged.

Invariants: what is ready runs in the order in which it became so; a dead loop takes nothing and runs nothing; every
task is held until the run is over, so that no abandoned coroutine is closed by the garbage collector in the middle.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from asyncio.events import _set_running_loop
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from typing import Any, NoReturn, TypeVar

from actorium.simulation.world.machine import Machine, SimulatedHandle

T = TypeVar("T")

_NOWHERE = Context()
# Ended tasks and futures are let go when so many more have been made.
_KEPT = 512
_REFUSED = (
    "add_reader",
    "add_writer",
    "add_signal_handler",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "subprocess_exec",
    "subprocess_shell",
)


class NotSimulated(RuntimeError):
    """Something was asked for that no simulated run has: a network, a subprocess, a signal, a thread."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """A loop of a `Machine`. There is no network, no subprocess and no signal; an executor's work is done in place."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self._queue = machine.ready
        self.name = name
        self.is_dead = True  # until it is complete: asyncio would have a loop that runs call back at once
        self.is_held = False
        # Dead or held: its handles are asked about before they run.
        self.is_apart = False
        self.steps = 0
        self.alarm_at = 0
        self._alarms: list[tuple[int, int, Callable[[], None]]] = []
        self._alarm_numbers = count()
        self._held: list[SimulatedHandle] = []
        self._release: SimulatedHandle | None = None
        super().__init__()
        self.is_dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        self._futures: list[asyncio.Future[Any]] = []
        self.unseen: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"<loop of {self.name}>"

    def time(self) -> float:
        return self.machine.now_s

    def is_running(self) -> bool:
        return not self.is_dead

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        handle = SimulatedHandle(0.0, callback, args, self, copy_context() if context is None else context)
        if not self.is_dead:
            self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there are no threads

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        handle = SimulatedHandle(when, callback, args, self, copy_context() if context is None else context)
        if not self.is_dead:
            self.machine.set_timer(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        return self.call_at(self.machine.now_s + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = NumberedFuture(loop=self)
        futures = self._futures
        futures.append(future)
        if len(futures) % _KEPT == 0 and not self.is_dead:
            self._futures = [one for one in futures if not one.done()]
        return future

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **kwargs: Any
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = NumberedTask(coro, loop=self, name=name or self.name, context=context)
        tasks = self.tasks
        tasks.append(task)
        if len(tasks) % _KEPT == 0 and not self.is_dead:
            self.tasks = [one for one in tasks if not one.done()]
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

    def pause(self, delay_s: float) -> asyncio.Future[None]:
        """Return a future that ends after a time in seconds, as the answer of a disk does: by no step."""
        future = self.create_future()
        if not self.is_dead:
            machine = self.machine
            machine.set_timer(SimulatedHandle(machine.now_s + delay_s, _end, (future,), self, _NOWHERE, False))
        return future

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended, in the order in which they were made."""
        return [task for task in self.tasks if not task.done()]

    def unseen_errors(self) -> list[BaseException | str]:
        """Return what went wrong here and nobody was told: in callbacks, and in tasks whose end nobody looked at."""
        told = [context.get("exception") or str(context.get("message")) for context in self.unseen]
        unasked = [task for task in self.tasks if task.done() and task._log_traceback]
        return told + [error for task in unasked if (error := task.exception()) is not None]

    # --- what befalls it ------------------------------------------------------------------------------------------

    def set_alarm(self, at_step: int, alarm: Callable[[], None]) -> None:
        """Have something called before a step of this loop, counted from 1; a step that is past is the next."""
        heapq.heappush(self._alarms, (max(at_step, self.steps + 1), next(self._alarm_numbers), alarm))
        self.alarm_at = self._alarms[0][0]

    def survives_alarm(self, handle: SimulatedHandle) -> bool:
        """Call what was set for this step; say whether the loop goes on with the handle."""
        while self._alarms and self._alarms[0][0] <= self.steps and not self.is_dead:
            heapq.heappop(self._alarms)[2]()
        self.alarm_at = self._alarms[0][0] if self._alarms else 0
        return not self.is_apart or self.admits(handle)

    def hold_until(self, when_s: float) -> None:
        """Run nothing until a time, as a process does that is stopped or collects garbage for long."""
        if self._release is not None:
            self._release.cancel()
        self.is_held = self.is_apart = True
        self._release = self.call_at(when_s, self._go_on)

    def admits(self, handle: SimulatedHandle) -> bool:
        """Say whether a handle may run though the loop is dead or held; keep it for later where it is held."""
        if self.is_dead:
            return False
        if handle is self._release or not self.is_held:
            return True
        self._held.append(handle)
        return False

    def _go_on(self) -> None:
        self.is_held = self.is_apart = False
        self._release = None
        held, self._held = self._held, []
        self.machine.ready.extendleft(reversed(held))

    def die(self) -> None:
        """Stop as a process does that is killed: nothing of it runs any more, no `finally`, no callback."""
        self.is_dead = self.is_apart = True

    def bury(self) -> None:
        """Close what was left hanging, once nothing of it can do harm any more: the run is over."""
        self.die()
        # Whoever cleans up may make tasks: they are closed in their turn.
        _set_running_loop(self)
        try:
            for task in self.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    for coroutine in _within(task.get_coro()):
                        try:
                            coroutine.close()
                        except BaseException:  # whatever its `finally` blocks say: the world they speak of is gone
                            continue
        finally:
            _set_running_loop(None)
        # Answers that nobody gives any more: what would follow them leads back to them, at times by ways on which the
        # garbage collector does not look.
        for future in self._futures:
            future.cancel()
        self._futures.clear()
        self.tasks.clear()
        self._held.clear()
        self._alarms.clear()
        self._closed = True


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _within(coroutine: Any) -> list[Any]:
    """Return a coroutine, and behind it those that it would have run, had it ever begun."""
    frame = coroutine.cr_frame if inspect.iscoroutine(coroutine) else None
    if frame is None or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return [coroutine]
    behind = frame.f_locals.get("coro") or getattr(frame.f_locals.get("self"), "_coro", None)
    return [coroutine, *_within(behind)] if inspect.iscoroutine(behind) else [coroutine]


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refused(self: SimulatedLoop, *arguments: Any, **keywords: Any) -> NoReturn:
        raise NotSimulated(
            f"loop.{name}() was called inside a simulated run, which has no network, no subprocess and no signal: "
            "put what needs it behind an object of your own and give the scenario another"
        )

    return refused


for _name in _REFUSED:
    setattr(SimulatedLoop, _name, _refusing(_name))


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

    def __repr__(self) -> str:
        return f"<future {'ended' if self.done() else 'pending'}>"


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is a number given in order: anyio keeps sets of tasks."""

    __slots__ = ("_number",)
    __hash__ = _number_of

    def __repr__(self) -> str:
        return f"<task {self.get_name()} {'ended' if self.done() else 'pending'}>"


def begin_numbers() -> None:
    """Begin the numbers anew: each run has the same."""
    global _next_number
    _next_number = count().__next__
